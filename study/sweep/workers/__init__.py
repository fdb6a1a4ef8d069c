"""Processes that make the runs of a plan, and how they are watched and stopped."""
