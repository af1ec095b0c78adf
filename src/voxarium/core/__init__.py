"""Opening, reading, planning and executing, over any driver."""
