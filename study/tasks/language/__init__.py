"""The next token: one text a file; what they share is in `family`."""
