"""The questions answered under `experiments/`: their runs made, their tables rebuilt from `results.csv`."""
