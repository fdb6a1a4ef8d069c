"""Rerun any logged run: check its configuration, show what differs here, compare the histories value by value."""
