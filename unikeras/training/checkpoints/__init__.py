"""Checkpoints: one file with all that training carries from step to step, and the folder that keeps some."""
