"""What leans on Keras' own parts."""
