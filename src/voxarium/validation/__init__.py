"""Validation: what is wrong with a dataset, rule by rule, and how to mend it."""
