"""The result of a comparison: for each arm its numbers, and a sentence (`study.report.data.sentences`)."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.probes.decay import half_life
from study.report.data.comparison import Comparison, worth
from study.report.data.differences import Differences
from study.report.data.histories import Norms
from study.report.data.levels import level_intervals
from study.report.data.opponents import Against, against
from study.report.data.sentences import conclude
from study.report.data.statistics import Interval, improvement
from study.schema.budget import Reading


@dataclass(frozen=True)
class Answer:
    """One arm of a comparison.

    Attributes:
        arm: its name.
        runs: number of runs that count.
        lost: number of them that diverged or were ruined by their own updates; `measure` is over the others.
        measure: mean on the test split over seeds.
        gap: mean difference to the best arm, paired by seed, over the seeds on which neither was lost; None for the
            best arm itself. Above zero is worse, whether the measure is minimized or maximized.
        seeds_needed: seeds at which 80% of studies would show a true difference of the size of `gap`, where it is not
            shown yet; inf if more than 100, NaN where there is nothing to say.
        beaten: probability that a run of the best arm beats one of this arm; NaN for the best arm.
        beats: how many opponents the arm beats, and the hardest that it does not.
        half_life: of the gradient, steps, median over runs; inf where it does not shrink.
        horizon: effective horizon, steps, median over runs.
        endings: number of runs by outcome, with the cause in brackets where there is one.
        verdicts: number of runs by verdict.
        clipped: share of updates in which clipping changed the gradient, mean over runs; NaN without a clip policy.
        size: parameters and numbers of the state of its networks, mean over runs; NaN of older versions.
        read: what its runs read, the mean over those that did not diverge.
        seconds: mean over runs.
        sentence: the conclusion, for a reader to quote, after the name of the arm.
    """

    arm: str
    runs: int
    lost: int
    measure: Interval
    gap: Interval | None
    seeds_needed: float
    beaten: float
    beats: str
    half_life: float
    horizon: float
    endings: dict[str, int]
    verdicts: dict[str, int]
    clipped: float
    size: tuple[float, float]
    read: Reading
    seconds: float
    sentence: str


def answer(comparison: Comparison, norms: Mapping[str, Norms]) -> list[Answer]:
    """A row for each arm, best first.

    Args:
        comparison: of one task.
        norms: gradient norms by run id, of the runs that have any.
    """
    study, opponents, naive = compare(comparison), against(comparison), naive_gaps(comparison)
    return [
        _answer(comparison, study, place, opponents[arm], naive[arm], norms)
        for place, arm in enumerate(comparison.arms)
    ]


def compare(comparison: Comparison) -> Differences:
    """The arms of a comparison, best first, by seed; more is worse, whether the measure is minimized or maximized."""
    return Differences(comparison.behind())


def naive_gaps(comparison: Comparison) -> dict[str, Interval]:
    """How much worse every arm is than the naive guess, 95% for all arms together."""
    gaps = level_intervals(comparison.behind(comparison.runs["baseline"]))
    return dict(zip(comparison.arms, gaps, strict=True))


def _answer(
    comparison: Comparison,
    study: Differences,
    place: int,
    opponents: Against,
    naive: Interval,
    norms: Mapping[str, Norms],
) -> Answer:
    arm, best = comparison.arms[place], comparison.arms[0]
    mine = comparison.arm(arm)
    values = worth(mine)
    measure = comparison.interval(values)
    gap = study.between(place, 0) if place else None
    clipped = [norms[str(run)].clipped for run in mine.index if str(run) in norms]
    return Answer(
        arm,
        runs=len(mine),
        lost=int(values.isna().sum()),
        measure=measure,
        gap=gap,
        seeds_needed=study.seeds_needed(place, 0) if gap and not gap.excludes(0.0) else math.nan,
        beaten=math.nan if gap is None else _beaten(comparison, best, arm),
        beats=opponents.cell,
        half_life=float(mine["decay"].dropna().map(half_life).median()),
        horizon=float(mine["horizon"].median()),
        endings=dict(Counter(map(str, mine["ending"])).most_common()),
        verdicts=dict(Counter(map(str, mine["verdict"])).most_common()),
        clipped=_mean(clipped) if is_clipped(mine) else math.nan,
        size=(_mean(mine["parameters"]), _mean(mine["state_size"])),
        read=_read(mine),
        seconds=_mean(mine["seconds"]),
        sentence=conclude(comparison, study, place, opponents, naive),
    )


def _read(runs: pd.DataFrame) -> Reading:
    """The mean over runs that did not diverge, which stop early; over all where all did."""
    whole = runs[runs["outcome"] != "diverged"]
    chosen = whole if len(whole) else runs
    return Reading(_mean(chosen["updates"]), _mean(chosen["steps"]))


def is_clipped(runs: pd.DataFrame) -> bool:
    """Whether the runs of an arm have a clip policy."""
    return "params.clip.name" in runs and str(runs["params.clip.name"].iloc[0]) != "none"


def _beaten(comparison: Comparison, best: str, arm: str) -> float:
    first, second = (worth(comparison.arm(name)).to_numpy(float) for name in (best, arm))
    return improvement(first, second, comparison.maximize)


def _mean(values: pd.Series | list[float]) -> float:
    """The mean of the values that are not NaN; NaN where none is finite."""
    present = np.asarray(values, float)
    return float(np.nanmean(present)) if np.isfinite(present).any() else math.nan
