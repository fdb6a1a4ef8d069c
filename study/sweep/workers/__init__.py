"""The processes that make the runs of a plan: launched, displayed, stopped."""
