"""Pure values that several rooms share."""
