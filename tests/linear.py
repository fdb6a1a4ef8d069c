"""The linear network of `python -m study.verify`, by another name for tests that were there first."""

from study.verify import Linear, orthogonal

__all__ = ["Linear", "orthogonal"]
