"""A study harness for recurrent networks: state a question, run every arm fairly, keep every gradient norm."""
