"""Archives: what was done to a dataset, what it holds, and audits that find whatever was changed since."""
