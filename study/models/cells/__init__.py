"""Architectures, one a file; see `study.models` for what they have in common."""
