"""Codecs: one encode/decode step each. Pure: bytes and arrays in, bytes and arrays out."""
