"""A rate that falls when the validation loss stands still, by the rule of torch's `ReduceLROnPlateau`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from study.learning.schedules.contract import RateSchedule

SEEN = ("best", "num_bad_epochs", "last_epoch", "cooldown_counter")
"""What torch's scheduler has seen; the rest of its state are the options that it was built with."""


class PlateauRate(RateSchedule):
    """factor(n) = c^k, k the times that more than `patience` validations in a row were no better than the best so far.

    Every lower loss is better: torch's default asks for a share of it, which goes the wrong way where losses are
    negative. A NaN is not.

    Args:
        factor: c.
        patience: validations without an improvement that are let pass.
        warmup: see `RateSchedule`.
    """

    def __init__(self, factor: float, patience: int, warmup: int = 0):
        super().__init__(warmup)
        # torch's scheduler is given a rate of 1 to lower, which then is the factor.
        self._unit = SGD([torch.zeros(1)], lr=1.0)
        self._plateau = ReduceLROnPlateau(self._unit, factor=factor, patience=patience, threshold=0.0, eps=0.0)

    def factor(self, done: int, updates: int) -> float:
        """See `RateSchedule`."""
        return float(self._unit.param_groups[0]["lr"])

    def validated(self, loss: float) -> None:
        """See `RateSchedule`; the next update has the lower rate already."""
        self._plateau.step(loss)
        self.set_rate()

    def state_dict(self) -> dict[str, Any]:
        """See `RateSchedule`."""
        return super().state_dict() | {"plateau": self._plateau.state_dict(), "unit": self._unit.param_groups[0]["lr"]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `RateSchedule`."""
        super().load_state_dict(state)
        if "plateau" in state:
            self._plateau.load_state_dict({name: state["plateau"][name] for name in SEEN})
            self._unit.param_groups[0]["lr"] = state["unit"]
