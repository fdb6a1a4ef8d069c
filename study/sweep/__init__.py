"""Many runs of one question: arms x seeds, or a search, shared by worker processes through one Optuna study."""
