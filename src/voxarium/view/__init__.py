"""Pictures people look at instead of numbers."""
