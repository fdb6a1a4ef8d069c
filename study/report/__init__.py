"""From tracked runs to answers: tables, figures and a page. Never trains."""

RESULTS = "results.csv"
"""Name of the table of runs that a report writes, and that is committed under `experiments/`."""
