"""Pages of a report: HTML from tables and figures."""
