"""Archives: what was done to a dataset, what it holds, and which of its states were published for good."""
