"""Gradient measures: one a file, plain torch, each with its formula and source."""
