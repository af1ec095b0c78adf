"""Drivers, one format per file. They make and parse bytes; stores do the input and output."""
