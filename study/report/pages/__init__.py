"""Pages of a report: HTML from tables and pictures."""
