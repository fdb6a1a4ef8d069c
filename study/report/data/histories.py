"""Histories and profiles of many runs, read from their files and reduced to what a picture can show, run by run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int

from study.errors import ConfigError
from study.tracking.reader import Logged

BUCKETS = 100
"""Points of a history in a picture; each tells the median, the smallest and the largest norm of its updates."""
NORMS = {"before": "grad_norm/total", "after": "grad_norm/applied"}


@dataclass(frozen=True)
class Norms:
    """Gradient norms of one run, in buckets of updates.

    Attributes:
        updates: the last update of every bucket.
        before: smallest, median and largest finite norm before clipping; NaN for a bucket without one.
        after: the same as applied.
        lost: updates without a finite norm.
        active: share of updates in which clipping acted.
        median: of the finite norms before clipping.
        peak: the largest of them.
    """

    updates: Int[np.ndarray, " buckets"]
    before: Float[np.ndarray, "three buckets"]
    after: Float[np.ndarray, "three buckets"]
    lost: Int[np.ndarray, " lost"]
    active: float
    median: float
    peak: float


def norms(run: Logged) -> Norms | None:
    """The gradient norms of a run; None where it has none yet."""
    found = read_table(run, "gradients.parquet", ["update", *NORMS.values()])
    if found is None or found.empty:
        return None
    raw = {kind: found[key].to_numpy(float) for kind, key in NORMS.items()}
    finite = np.isfinite(raw["before"])
    updates = found["update"].to_numpy()
    buckets, before = bucketed(updates, raw["before"])
    kept = raw["before"][finite] if finite.any() else np.full(1, np.nan)
    return Norms(
        updates=buckets,
        before=before,
        after=bucketed(updates, raw["after"])[1],
        lost=updates[~finite],
        active=float((raw["after"] < raw["before"])[finite].mean()) if finite.any() else np.nan,
        median=float(np.median(kept)),
        peak=float(kept.max()),
    )


def flows(run: Logged) -> pd.DataFrame | None:
    """Gradient flow of a run: `update`, `lag`, `log_share`, the log of phi_k / phi_0, of the part that remembers."""
    found = read_table(run, "flow.parquet", ["update", "of", "lag", "log_phi"])
    if found is None or found.empty:
        return None
    memory = found[found["of"] == "memory"]
    with np.errstate(invalid="ignore"):
        share = memory["log_phi"] - memory.groupby("update")["log_phi"].transform("first")
    return memory[["update", "lag"]].assign(log_share=share).reset_index(drop=True)


def gathered(runs: pd.DataFrame, read: Callable[[Logged], pd.DataFrame | None]) -> pd.DataFrame:
    """What `read` gives of every run that has it, one below the other, with `run_id` and `arm`."""
    parts = []
    for run, logged, arm in zip(runs.index, runs["logged"], runs["arm"], strict=True):
        part = read(logged)
        if part is not None:
            parts.append(part.assign(run_id=str(run), arm=str(arm)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def read_table(run: Logged, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
    """A table of a run; None where the run has none, or none with such columns."""
    try:
        return run.table(name, columns)
    except (ConfigError, pa.ArrowInvalid):
        return None


def bucketed(
    updates: Int[np.ndarray, " updates"], values: Float[np.ndarray, " updates"]
) -> tuple[Int[np.ndarray, " buckets"], Float[np.ndarray, "three buckets"]]:
    """The last update of every bucket, and its smallest, median and largest finite positive value."""
    starts = np.linspace(0, len(values), min(BUCKETS, len(values)), endpoint=False).astype(int)
    drawn = pd.Series(np.where(np.isfinite(values) & (values > 0), values, np.nan))
    bucket = np.searchsorted(starts, np.arange(len(values)), side="right")
    by_bucket = drawn.groupby(bucket)
    envelope = np.stack([by_bucket.min(), by_bucket.median(), by_bucket.max()])
    return updates[np.append(starts[1:], len(values)) - 1], envelope
