"""Keras' private parts: all that patches Keras or leans on names that are not its public API."""
