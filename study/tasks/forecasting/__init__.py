"""Real values ahead: one data set a file; what they share is in `family`."""
