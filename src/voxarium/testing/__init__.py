"""For tests, here and in other projects: specimens, conformance kits, fault stores. Nothing imports it."""
