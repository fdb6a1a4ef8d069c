"""Tracked runs as tables: arms, statistics, ranking."""
