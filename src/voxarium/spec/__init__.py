"""Written specifications as pure parse_, validate_ and dump_ functions: documents in, objects out."""
