"""The contract of every schedule: what the optimizer's rate is multiplied with, update by update.

    rate of update n + 1 = lr min(1, (n + 1) / warmup) factor(n),    n the updates done

Every factor is a multiple of the rate that `conf/optimizer` has, so that a change of it changes the whole course in
proportion. No tensor is read. The courses are those of torch's schedulers, in closed form: torch's chain by multiplying
the rate they find, so that an error adds up, and none with a warm-up may follow the validation loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer


class RateSchedule(ABC):
    """A course of the learning rate.

    Args:
        warmup: updates over which the rate rises in equal steps; 0: it starts at once.
    """

    def __init__(self, warmup: int = 0):
        self.warmup = warmup
        self._done = 0

    def start(self, optimizer: Optimizer, updates: int) -> None:
        """Set the rate of the first update.

        Args:
            optimizer: whose rate it is, freshly built. A state of it that is to be restored is loaded after this.
            updates: that the run makes in all.
        """
        self._optimizer, self._updates = optimizer, updates
        self._full = [group["lr"] for group in optimizer.param_groups]
        self.set_rate()

    @abstractmethod
    def factor(self, done: int, updates: int) -> float:
        """The multiple of the rate after `done` of `updates` updates, without the warm-up; 1 after none."""

    def updated(self) -> None:
        """Set the rate of the next update, once one was made."""
        self._done += 1
        self.set_rate()

    def validated(self, loss: float) -> None:
        """Take note of the loss on the validation split; most schedules do not care."""
        del loss

    def set_rate(self) -> None:
        """Give every group of parameters the rate of the next update."""
        warm = min(1.0, (self._done + 1) / self.warmup) if self.warmup else 1.0
        multiple = warm * self.factor(self._done, self._updates)
        for group, full in zip(self._optimizer.param_groups, self._full, strict=True):
            group["lr"] = full * multiple

    def state_dict(self) -> dict[str, Any]:
        """All that decides how it goes on but the optimizer's state, in plain values; a checkpoint keeps it."""
        return {"done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore, after `start`, from a dict returned by `state_dict`; an empty one is that of a start."""
        self._done = state.get("done", 0)
