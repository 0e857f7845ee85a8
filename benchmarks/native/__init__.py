"""Training loops written by hand in each framework, to compare with."""
