"""What every measure gives: a few numbers for charts, and everything as a table."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Measured(ABC):
    """The result of one measure at one time."""

    @abstractmethod
    def scalars(self) -> Mapping[str, float]:
        """The few numbers worth a chart over updates, by metric key."""

    @abstractmethod
    def columns(self) -> Mapping[str, Any]:
        """Everything, as columns of equal length or single values that fill theirs."""
