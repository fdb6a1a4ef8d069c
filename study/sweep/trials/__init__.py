"""The shared Optuna study in the terms of a plan."""
