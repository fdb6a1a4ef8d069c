"""Tracked runs as tables: arms, statistics, rankings."""
