"""Recurrent state as a value: taken as an argument, returned with the output."""
