"""From what was measured to what a reader may conclude: diagnosis, result, pictures."""
