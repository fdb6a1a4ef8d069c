"""A class for every word: one corpus a file; what they share is in `family`."""
