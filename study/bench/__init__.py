"""What keeping the whole history of a run costs: updates a second against a bare loop that keeps nothing."""
