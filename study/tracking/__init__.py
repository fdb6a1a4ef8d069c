"""Where runs are kept: the only room that imports mlflow."""
