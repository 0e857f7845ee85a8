"""Hand-written training loops in each framework, to compare with."""
