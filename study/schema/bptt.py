"""`conf/bptt`: how far back gradients flow, and how often an update is made."""

import math
from functools import cache
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Finite, Strict
from study.schema.registry import Registry

TRUNCATIONS = Registry("bptt")

RULE = "2"
"""Number of the rule of windows in `study.learning.bptt`, recorded with every run.

Rule 1, of runs that record none: with k1 set, the last windows of full BPTT (k2 null) reached back less than all steps,
and on a stream no window reached back across the start of its batch.
"""


class BPTTConfig(Strict):
    """What others ask of a truncation.

    Attributes:
        update: `window`: one optimizer step a window. `sequence`: one for all windows of a sequence together.
        always_cuts: there are no settings with which a sequence is read whole.
        spans_batches: on a stream the losses of one window may lie in several batches.
    """

    always_cuts: ClassVar[bool] = True
    spans_batches: ClassVar[bool] = False
    name: str
    update: Literal["window", "sequence"]

    @property
    def stride(self) -> tuple[str, int | None]:
        """Steps between updates, and the key that says it; None: it has none."""
        return "k1", None

    @property
    def reach(self) -> tuple[str, int | None]:
        """Steps that gradients flow back, at most or on average, and the key that says it; None: all there are."""
        return "k2", None

    def farthest(self, batch: int | None) -> int | None:
        """Steps beyond which no gradient ever flows back; None: there is no such limit.

        Args:
            batch: steps of a batch of a stream; None: batches hold whole sequences.
        """
        return self.reach[1]

    @property
    def tags(self) -> dict[str, str]:
        """`k1` and `k2` in words, to filter runs by."""
        k2 = str(self.reach[1] or "full")
        return {"k1": str(self.stride[1] or k2), "k2": k2}

    def updates_per(self, steps: int, stream: bool) -> float:
        """Updates that a sequence of so many steps makes, or so many steps of a stream; the mean, where it varies."""
        if self.update == "sequence":
            return 1.0
        return float(math.ceil(steps / (self.stride[1] or self.reach[1] or steps)))

    def changed_since(self, rule: str, steps: int | None, stream: bool) -> bool:
        """Whether runs trained by an older rule of windows had other windows than these.

        Args:
            rule: recorded with the run; 1 where none is.
            steps: of the longest sequence, of a stream those of a batch; None where only the data say.
            stream: batches continue each other.
        """
        return False


@TRUNCATIONS.member("study.learning.bptt.truncated:TruncatedBPTT")
class TruncatedBPTTConfig(BPTTConfig):
    """Gradients flow back `k2` steps, an update is made every `k1` (null: k2, at most once a batch).

    `k2` null is the whole sequence. On a stream, whose batches continue each other, gradients flow back across the
    borders of batches; there null means the steps of one batch, `task.seq_len`.
    """

    always_cuts: ClassVar[bool] = False
    name: Literal["truncated"]
    k2: Count | None
    k1: Count | None

    @model_validator(mode="after")
    def _every_step_is_within_reach(self) -> "TruncatedBPTTConfig":
        if self.k1 is not None and self.k2 is not None and self.k1 > self.k2:
            raise ValueError(f"k1={self.k1} must not exceed k2={self.k2}: steps in between would never be learnt from")
        return self

    @property
    def stride(self) -> tuple[str, int | None]:
        """See `BPTTConfig`."""
        return "k1", self.k1

    @property
    def reach(self) -> tuple[str, int | None]:
        """See `BPTTConfig`."""
        return "k2", self.k2

    def farthest(self, batch: int | None) -> int | None:
        """See `BPTTConfig`."""
        return self.k2 or batch

    def changed_since(self, rule: str, steps: int | None, stream: bool) -> bool:
        """See `BPTTConfig`."""
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


@TRUNCATIONS.member("study.learning.bptt.adaptive:AdaptiveBPTT")
class AdaptiveBPTTConfig(BPTTConfig):
    """The smallest k2 whose estimated relative bias is within `delta` (Aicher, Foti & Fox 2019, arXiv 1905.07473)."""

    name: Literal["adaptive"]
    delta: Annotated[float, Field(gt=0, lt=1)]
    k2_min: Count
    k2_max: Count
    k1: Count
    every: Count

    @model_validator(mode="after")
    def _there_is_something_to_choose(self) -> "AdaptiveBPTTConfig":
        if self.k2_min >= self.k2_max:
            raise ValueError(
                f"k2_min={self.k2_min} must be below k2_max={self.k2_max}: else there is nothing to choose, and "
                "bptt=truncated says so"
            )
        if self.k1 > self.k2_min:
            raise ValueError(
                f"k1={self.k1} must not exceed k2_min={self.k2_min}: steps in between would never be learnt from"
            )
        return self

    @property
    def stride(self) -> tuple[str, int | None]:
        """See `BPTTConfig`."""
        return "k1", self.k1

    @property
    def reach(self) -> tuple[str, int | None]:
        """See `BPTTConfig`."""
        return "k2_max", self.k2_max

    @property
    def tags(self) -> dict[str, str]:
        """See `BPTTConfig`."""
        return {"k1": str(self.k1), "k2": f"{self.k2_min} to {self.k2_max}"}


@TRUNCATIONS.member("study.learning.bptt.artbp:ARTBP")
class ARTBPConfig(BPTTConfig):
    """Random windows of mean `length`, gradients reweighted to be unbiased (Tallec & Ollivier 2017, arXiv 1705.08209).

    `alpha` null: every `block` steps a window ends with the same probability. Else long windows are more frequent,
    P(longer than n) ~ n^(1 - alpha), and the weights grow as a power of the lag instead of exponentially.
    """

    spans_batches: ClassVar[bool] = True
    name: Literal["artbp"]
    length: Count
    alpha: Annotated[Finite, Field(gt=2)] | None
    block: Count

    @model_validator(mode="after")
    def _windows_have_several_blocks(self) -> "ARTBPConfig":
        if self.block >= self.length:
            raise ValueError(
                f"block={self.block} must be below length={self.length}: windows end after whole blocks, so every one "
                "would be a single block, which bptt=truncated says"
            )
        return self

    @property
    def reach(self) -> tuple[str, int | None]:
        """See `BPTTConfig`; the mean."""
        return "length", self.length

    def farthest(self, batch: int | None) -> int | None:
        """See `BPTTConfig`; some windows are longer than any number."""
        return None

    @property
    def tags(self) -> dict[str, str]:
        """See `BPTTConfig`."""
        return dict.fromkeys(("k1", "k2"), f"random, mean {self.length}")

    def updates_per(self, steps: int, stream: bool) -> float:
        """See `BPTTConfig`."""
        if self.update == "sequence":
            return 1.0
        if stream:
            return steps / self.length
        every = (True,) * math.ceil(steps / self.block)
        return expected_windows(self.length / self.block, self.alpha, every)


def cut_probability(length: float, alpha: float | None, since: int) -> float:
    """The probability c that a window ends `since` blocks after it began, if it has not ended before.

    c = 1 / length, or (alpha - 1) / ((alpha - 2) length + since) (Tallec & Ollivier 2017, arXiv 1705.08209, section 5):
    with both, windows have `length` blocks in the mean.
    """
    return 1 / length if alpha is None else (alpha - 1) / ((alpha - 2) * length + since)


@cache
def expected_windows(length: float, alpha: float | None, counting: tuple[bool, ...]) -> float:
    """The mean number of windows of a sequence that hold a block in which a loss is taken.

    Args:
        length: mean of a window, in blocks.
        alpha: see `cut_probability`.
        counting: for every block of the sequence, whether a loss is taken in it.
    """
    blocks, found = len(counting), 0.0
    starts = [1.0] + [0.0] * blocks  # the probability that a window starts at a block
    for first in range(blocks):
        lasting, holds = starts[first], False
        for stop in range(first + 1, blocks + 1):
            holds |= counting[stop - 1]
            ending = lasting * (cut_probability(length, alpha, stop - first) if stop < blocks else 1.0)
            found += ending * holds
            starts[stop] += ending
            lasting -= ending
    return found
