"""Archives: manifests of what is stored, and audits that find whatever was changed since."""
