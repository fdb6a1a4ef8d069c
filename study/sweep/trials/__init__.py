"""The shared Optuna study, read and written in the terms of a plan."""
