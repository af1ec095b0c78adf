"""Faces towards other systems: their words and calls over our images."""
