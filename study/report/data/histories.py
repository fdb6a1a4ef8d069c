"""Histories and profiles of runs, read from their files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from study.columns import LIMIT, SHARE, acted
from study.errors import ConfigError
from study.figures.norms import NormHistory, bucket, norm_history
from study.report.data.reading import note, tried
from study.tracking.artifacts import Unreadable
from study.tracking.reader import Logged

NORM_COLUMNS = ["grad_norm/total", "grad_norm/applied"]
"""Of `gradients.parquet`: the norm of the whole gradient before clipping, and as applied."""


class LossHistory(NamedTuple):
    """Training losses of one run: the last update of every bucket, and the median of its finite losses."""

    updates: Int[np.ndarray, " buckets"]
    loss: Float[np.ndarray, " buckets"]


@dataclass(frozen=True)
class Norms:
    """Gradient norms of one run, and its training losses.

    Attributes:
        history: over updates.
        clipped: share of the updates with a finite norm, and of those skipped, in which clipping changed the gradient;
            NaN without such.
        median: of the finite norms before clipping.
        peak: the largest of them.
        losses: of the same file.
    """

    history: NormHistory
    clipped: float
    median: float
    peak: float
    losses: LossHistory | None = None


def load_norms(run: Logged) -> Norms | None:
    """The gradient norms of a run; None where it has none yet, or none that can be read."""
    return tried(f"The gradient history of run {run.run_id} ({run.name})", lambda: _norms(run))


def _norms(run: Logged) -> Norms | None:
    table = load_table(run, "gradients.parquet", ["update", "loss", *NORM_COLUMNS], [SHARE, LIMIT])
    if table is None or table.empty:
        return None
    before, after = (table[column].to_numpy(float) for column in NORM_COLUMNS)
    share, limit = (table[column].to_numpy(float) if column in table else None for column in (SHARE, LIMIT))
    found, finite = acted(before, after, share), np.isfinite(before)
    counted = found[~np.isnan(found)]
    drawn = before[finite] if finite.any() else np.full(1, np.nan)
    return Norms(
        norm_history(table["update"].to_numpy(), before, after, limit),
        clipped=float((counted > 0).mean()) if len(counted) else np.nan,
        median=float(np.median(drawn)),
        peak=float(drawn.max()),
        losses=_losses(table),
    )


def _losses(table: pd.DataFrame) -> LossHistory:
    last, (_, middle, _) = bucket(table["update"].to_numpy(), table["loss"].to_numpy(float), positive=False)
    return LossHistory(last, middle)


def unreadable(run: Logged, norms: Norms | None) -> str:
    """Why the history of a run that made updates cannot be read; empty where it can."""
    if norms is not None or not run.measures.get("run/updates", 0) > 0:
        return ""
    try:
        run.table("gradients.parquet", ["update", "loss", *NORM_COLUMNS])
    except ConfigError as error:
        return str(error)
    return f"run {run.run_id}: gradients.parquet holds no history"


def describe_lost(lost: Mapping[str, str]) -> str:
    """A sentence on runs whose histories cannot be read, from the reasons by run id."""
    return (
        f"Gradient histories cannot be read (runs: {len(lost)}), so figures and columns about gradients are without "
        f"them. The first: {next(iter(lost.values()))}."
    )


def load_flow(run: Logged) -> pd.DataFrame | None:
    """Gradient flow of the memory of a run: `update`, `lag`, `log_share` = log(phi_k / phi_0) in nats; None without."""
    table = load_table(run, "flow.parquet", ["update", "of", "lag", "log_phi"])
    if table is None or table.empty:
        return None
    memory = table[table["of"] == "memory"]
    with np.errstate(invalid="ignore"):
        share = memory["log_phi"] - memory.groupby("update")["log_phi"].transform("first")
    return memory[["update", "lag"]].assign(log_share=share).reset_index(drop=True)


def load_truncation(run: Logged) -> pd.DataFrame | None:
    """Truncation bias of a run, a row for each update and k2: see `study.probes.truncation`; None without."""
    return load_table(run, "truncation.parquet")


def load_all(runs: pd.DataFrame, load: Callable[[Logged], pd.DataFrame | None]) -> pd.DataFrame:
    """The tables of all runs that have one, below each other, with the columns `run_id` and `arm`.

    Args:
        runs: by run id, with `logged` and `arm`.
        load: the table of a run, or None.
    """
    parts = []
    for run, logged, arm in zip(runs.index, runs["logged"], runs["arm"], strict=True):
        part = tried(f"A table of run {run}", partial(load, logged))
        if part is not None:
            parts.append(part.assign(run_id=str(run), arm=str(arm)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def load_table(
    run: Logged, name: str, columns: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> pd.DataFrame | None:  # fmt: skip
    """A table of a run, or some of its columns; None where it cannot be read or lacks one that is not optional."""
    try:
        return run.table(name, columns, optional)
    except Unreadable as error:
        note(f"What needs it is left out: {error}.")
        return None
    except ConfigError:  # there is none
        return None
