"""What a batch of a stream hands to the next one."""

from typing import Any, NamedTuple

from study.models import State
from study.tasks.contract import Batch


class Carry(NamedTuple):
    """What a batch of a stream hands to the next one.

    Attributes:
        state: before the first step of `past`; None: the zero state.
        past: the last steps that were read, which the next windows reach back into; None where they do not (k1 = k2).
    """

    state: State | None
    past: Batch | None

    def as_dict(self) -> dict[str, Any]:
        """As tensors and tuples of tensors, which a checkpoint can hold."""
        return {"state": self.state, "past": None if self.past is None else (self.past.inputs, self.past.targets)}


def load_carry(kept: dict[str, Any] | State | None) -> Carry | None:
    """Restore from `Carry.as_dict()`, or from the bare state that checkpoints held before windows crossed batches."""
    if not isinstance(kept, dict):
        return None if kept is None else Carry(kept, None)
    return Carry(kept["state"], None if kept["past"] is None else Batch(*kept["past"]))
