"""Planes of an experiment: two numeric keys that its arms sweep together, and what the runs of every cell measured."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.report.data.comparison import Comparison, worth
from study.report.data.histories import load_all, load_table
from study.report.data.runs import configurations
from study.schema.arm_names import name_arms
from study.tracking.outcomes import ENDED, LOST
from study.tracking.reader import Logged

FEWEST = 3
"""Fewest values of a key that make a map rather than a few arms."""
FURTHEST = 30.0
"""Decades beyond which a share of the gradient is one of these: a mean over seeds needs a number."""


@dataclass(frozen=True)
class Plane:
    """Two keys swept together, in one panel for each combination of the other values.

    Attributes:
        keys: of the configuration; the first along the abscissa.
        runs: the rows of the comparison that lie in it, with `x` and `y`, the values of the keys, and `panel`, the
            name of the other values.
    """

    keys: tuple[str, str]
    runs: pd.DataFrame


def planes(comparison: Comparison) -> Iterator[Plane]:
    """The planes of a task: pairs of keys with `FEWEST` numbers each among arms that are otherwise the same."""
    table = pd.DataFrame(configurations(comparison.runs)).T.fillna("")
    varying = [str(key) for key in table if table[key].nunique() > 1 and key not in comparison.tuned]
    numbers = table[varying].apply(pd.to_numeric, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    swept = _leading([str(key) for key in numbers if numbers[key].nunique() >= FEWEST], table)
    for x, y in itertools.combinations(swept, 2):
        others = [key for key in varying if not any(_go_together(table, key, mine) for mine in (x, y))]
        placed = numbers[[x, y]].set_axis(["x", "y"], axis=1).assign(panel=_panels(table, others)).dropna()
        wide = placed.groupby("panel")[["x", "y"]].transform("nunique").min(axis=1) >= FEWEST
        if wide.any():
            yield Plane((x, y), comparison.runs.join(placed[wide], on="arm", how="inner"))


def _leading(keys: list[str], table: pd.DataFrame) -> list[str]:
    """Keys without those that only go together with one before them, as a horizon does with a length."""
    kept: list[str] = []
    for key in keys:
        if not any(_go_together(table, key, other) for other in kept):
            kept.append(key)
    return kept


def _go_together(table: pd.DataFrame, key: str, other: str) -> bool:
    """Whether each value of one key comes with one value of the other."""
    pairs = table[[key, other]].drop_duplicates()
    return len(pairs) == table[key].nunique() == table[other].nunique()


def _panels(table: pd.DataFrame, others: list[str]) -> pd.Series:
    """The name of every arm by its values of some keys alone."""
    rows = table[others].to_dict("index").items()
    return pd.Series(name_arms({str(arm): {str(k): str(v) for k, v in row.items() if v != ""} for arm, row in rows}))


def cells(plane: Plane, flow: pd.DataFrame) -> pd.DataFrame:
    """What was measured in every cell of a plane: one row for each `panel`, `x` and `y`.

    Args:
        plane: of a task.
        flow: see `study.report.figures.flow.flow_data`.

    Returns:
        A table with `run_id` (of the first), `runs`, `outcome` (of most runs; where as many ended otherwise, the
        worse), `agree` (runs with this outcome), `lost` (runs that diverged or were ruined), `share` (phi_h / phi_0 at
        the horizon of the task, geometric mean), `value` (of the measure, mean over runs not lost), and from before the
        first update, means: `exponent` (the largest of Lyapunov, nats a step) and `radius` (the largest spectral
        radius of a recurrent matrix). NaN where nothing was measured.
    """
    runs = plane.runs.assign(
        value=worth(plane.runs), lost=plane.runs["outcome"].isin(LOST), log_share=left_at_horizon(plane.runs, flow)
    )
    runs = runs.join(at_start(runs, "lyapunov.parquet", "exponent"))
    runs = runs.join(at_start(runs, "weights.parquet", "spectral_radius").rename("radius"))
    rows = [_cell(mine) for _, mine in runs.groupby(["panel", "x", "y"], sort=False)]
    return pd.DataFrame(rows).sort_values(["panel", "x", "y"], ignore_index=True)


def _cell(runs: pd.DataFrame) -> dict[str, object]:
    counts = runs["outcome"].value_counts()
    outcome = max(counts.index, key=lambda word: (counts[word], ENDED.index(word)))
    numbers = {
        "runs": len(runs),
        "agree": int(counts[outcome]),
        "lost": int(runs["lost"].sum()),
        "share": float(np.exp(runs["log_share"].mean())),
    }
    means = runs[["value", "exponent", "radius"]].mean()
    where = runs[["panel", "x", "y"]].iloc[0]
    found = {str(key): value for part in (where, means) for key, value in part.items()}
    return found | numbers | {"run_id": str(runs.index[0]), "outcome": outcome}


def left_at_horizon(runs: pd.DataFrame, flow: pd.DataFrame) -> pd.Series:
    """log(phi_h / phi_0) of every run at its last measurement, in nats.

    h is the horizon of the task, or the largest lag measured where that is less. NaN where nothing was measured.
    """
    if flow.empty or "params.task.horizon" not in runs:
        return pd.Series(np.nan, runs.index)
    mine = flow[flow["run_id"].isin(runs.index)]
    last = mine[mine["update"] == mine.groupby("run_id")["update"].transform("max")]
    horizon = pd.to_numeric(runs["params.task.horizon"], errors="coerce")
    within = last[last["lag"] <= last["run_id"].map(horizon)]
    found = within.sort_values("lag").drop_duplicates("run_id", keep="last").set_index("run_id")["log_share"]
    furthest = FURTHEST * np.log(10)
    return found.clip(-furthest, furthest).reindex(runs.index)


def at_start(runs: pd.DataFrame, file: str, column: str) -> pd.Series:
    """The largest number in a column of a table of every run, of before its first update; NaN without."""

    def load(run: Logged) -> pd.DataFrame | None:
        return load_table(run, file, ["update", column])

    found = load_all(runs, load)
    if found.empty:
        return pd.Series(np.nan, runs.index, name=column)
    return found[found["update"] == 0].groupby("run_id")[column].max().replace([np.inf, -np.inf], np.nan)
