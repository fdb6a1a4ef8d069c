"""The contract of every probe: what it measures, a few numbers for charts, and everything as a table.

`study.testing.probes` holds the claims that every probe must meet, ready for the tests of a probe of your own.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import numpy as np
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.tasks.contract import Batch


class ProbeResult(ABC):
    """The result of one probe after one update: a frozen dataclass of arrays, plain values, lists of named tuples."""

    @classmethod
    @abstractmethod
    def measure(cls, plan: Any, bptt: TruncatedBPTT, batch: Batch) -> "ProbeResult":
        """Measure a model as it is now.

        A model that is broken (NaN or inf in its weights) is measured all the same: NaN is a result.

        Args:
            plan: the options of this probe in `conf/probe`.
            bptt: what trains; neither it nor its model, optimizer and clip policy may change.
            batch: sequences from their initial state on.
        """

    @abstractmethod
    def scalars(self) -> Mapping[str, float]:
        """The few numbers worth a chart over updates, by metric key such as `flow/decay`."""

    @abstractmethod
    def columns(self) -> Mapping[str, Any]:
        """Everything, as columns of equal length; a single value fills its column."""

    def state(self) -> dict[str, Any]:
        """All fields, for a checkpoint: tensors and plain values."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "ProbeResult":
        """Restore from a dict returned by `state()`."""
        hints = get_type_hints(cls)
        return cls(**{name: _as(hints[name], value) for name, value in state.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, np.generic):
        return value.item()
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _as(hint: Any, value: Any) -> Any:
    """A plain value as the type of its field asks: an array, a list of named tuples, or the value itself."""
    if isinstance(value, Tensor):
        return value.numpy()
    row: Any = next(iter(get_args(hint)), None)
    return [row._make(part) for part in value] if hasattr(row, "_make") else value
