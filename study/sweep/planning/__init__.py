"""From an experiment to a checked plan of runs."""
