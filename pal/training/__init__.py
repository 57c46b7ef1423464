"""Training: data, the two SFT tasks, preference pairs and alignment."""
