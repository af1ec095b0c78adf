"""Tiny trees that break no rule, by format: what the examples of rules change to break them."""
