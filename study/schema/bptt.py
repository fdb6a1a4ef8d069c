"""`conf/bptt`: how far back gradients flow, and how often an update is made."""

from typing import Literal

from pydantic import model_validator

from study.schema.base import Count, Strict

RULE = "2"
"""Number of the rule of windows in `study.learning.bptt`, recorded with every run.

Rule 1, of runs that record none: with k1 set, the last windows of full BPTT (k2 null) reached back less than all steps,
and on a stream no window reached back across the start of its batch.
"""


class BPTTConfig(Strict):
    """Truncation: gradients flow back `k2` steps, an update is made every `k1` (null: k2, at most once a batch).

    `k2` null is the whole sequence. On a stream, whose batches continue each other, gradients flow back across the
    borders of batches; there null means the steps of one batch, `task.seq_len`.
    """

    k2: Count | None
    k1: Count | None
    update: Literal["window", "sequence"]

    @model_validator(mode="after")
    def _every_step_is_within_reach(self) -> "BPTTConfig":
        if self.k1 is not None and self.k2 is not None and self.k1 > self.k2:
            raise ValueError(f"k1={self.k1} must not exceed k2={self.k2}: steps in between would never be learnt from")
        return self

    def changed_since(self, rule: str, steps: int | None, stream: bool) -> bool:
        """Whether runs trained by an older rule of windows had other windows than these.

        Args:
            rule: recorded with the run; 1 where none is.
            steps: of the longest sequence, of a stream those of a batch; None where only the data say.
            stream: batches continue each other.
        """
        if rule != "1":
            return False
        if stream and steps is not None:
            return (self.k2 or steps) > min(self.k1 or steps, steps)
        return self.k1 is not None and (self.k2 is None or self.k2 == steps) and (steps is None or steps % self.k1 > 0)

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """`k1` equal to `k2` is null; a sequence that is one window makes one update, whatever `update` says."""
        if values.get("k1") == values.get("k2"):
            values = values | {"k1": "None"}
        if values.get("k1") == values.get("k2") == "None":
            values = {key: value for key, value in values.items() if key != "update"}
        return values
