"""Checking what is stored, by rule, with what would mend it."""
