"""Modules that torch does not have. They know nothing of Keras, so that files that hold them load without it."""
