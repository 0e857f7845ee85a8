"""What an artifact must reproduce: the model, run on seeded inputs, and the signature that this shows."""
