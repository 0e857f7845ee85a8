"""Data: one source for every backend, its transforms, and its position as a value."""
