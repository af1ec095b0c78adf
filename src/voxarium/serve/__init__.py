"""The server: images over HTTP, for the field's viewers and scripts, and for people. The only layer with async code."""
