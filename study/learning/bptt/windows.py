"""The windows of truncated BPTT: which steps one reads, which of them count, and how many updates that makes."""

from functools import cache
from typing import Literal, NamedTuple

from study.errors import ConfigError
from study.schema.bptt import BPTTConfig
from study.tasks.contract import Batch, Batches


class Window(NamedTuple):
    """Steps `start` to `stop` - 1: gradients flow back to `start`, losses are taken from `first` on."""

    start: int
    first: int
    stop: int


def windows(seq_len: int, k1: int | None, k2: int | None, past: int | None = None) -> list[Window]:
    """The windows of a sequence; every step's loss is in exactly one. The last window may be shorter.

    Args:
        seq_len: steps T.
        k1: steps between updates; None: k2, at most T.
        k2: steps gradients flow back; None, or T and more: all.
        past: on a stream, how many earlier steps windows may reach back into: steps count from the first of them. None
            for a whole sequence.
    """
    begin = past or 0
    total = begin + seq_len
    far = k2 or total
    stride = min(k1 or far, seq_len)
    # Full BPTT is a case of its own: from where its last, shorter window would end if it were whole, k2 steps back do
    # not reach the first step.
    full = past is None and far >= seq_len
    firsts = range(begin, total, stride)
    return [Window(0 if full else max(0, f + stride - far), f, min(f + stride, total)) for f in firsts]


def stream_lengths(k1: int | None, k2: int | None, seq_len: int) -> tuple[int, int]:
    """(k1, k2) on a stream of batches of `seq_len` steps: k2 null means `seq_len`; k1 null means k2, at most `seq_len`.

    An update is made at least once a batch: k1 cannot exceed `seq_len`, which the schema checks.
    """
    far = k2 or seq_len
    return k1 or min(far, seq_len), far


def refuse_unreachable(config: BPTTConfig, batches: Batches) -> None:
    """Refuse a truncation that no sequence of the training data is long enough for.

    Raises:
        ConfigError: naming the key, its value and the steps there are.
    """
    key, far = config.reach
    if far is not None and far > (longest := batches.longest):
        raise ConfigError(
            f"bptt.{key} = {far}: the longest training sequence has {longest} steps, and no gradient flows further "
            f"back; allowed: 1 to {longest}{'' if config.always_cuts else ', or null for all of them'}"
        )


def count(batch: Batch, k1: int | None, k2: int | None, update: Literal["window", "sequence"]) -> int:
    """How many updates a batch makes: windows in which no step counts make none."""
    if update == "sequence":
        return 1
    if batch.mask is None:
        return _number(batch.longest, k1, k2)
    return sum(batch.between(window.first, window.stop).steps > 0 for window in windows(batch.longest, k1, k2))


@cache
def _number(seq_len: int, k1: int | None, k2: int | None) -> int:
    """How many windows a sequence has; asked for every batch of an epoch, of which most are as long."""
    return len(windows(seq_len, k1, k2))
