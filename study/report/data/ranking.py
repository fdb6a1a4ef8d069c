"""The answer to a study: one row an arm, and one sentence that says no more than the interval carries."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.report.data.histories import Norms
from study.report.data.runs import Comparison
from study.report.data.statistics import Interval, improvement, mean_interval


@dataclass(frozen=True)
class Answer:
    """One arm of a comparison.

    Attributes:
        arm: its name.
        runs: how many count.
        diverged: how many of them left the finite numbers; `measure` is over the others.
        measure: on the test split, over seeds.
        gap: how much worse than the best arm, paired by seed, over the seeds on which neither diverged; None for the
            best arm itself. Above zero is worse, whichever direction the measure has.
        beaten: probability that a run of the best arm beats one of this arm; NaN for the best arm.
        half_life: of the gradient, steps, median over runs; inf where it does not shrink.
        horizon: effective horizon, steps, median over runs.
        verdicts: how many runs have which.
        active: share of updates clipped, mean over runs; NaN where no run is clipped.
        updates: mean over runs.
        seconds: mean over runs.
        sentence: what of this a reader may take away.
    """

    arm: str
    runs: int
    diverged: int
    measure: Interval
    gap: Interval | None
    beaten: float
    half_life: float
    horizon: float
    verdicts: dict[str, int]
    active: float
    updates: float
    seconds: float
    sentence: str


def answer(comparison: Comparison, histories: Mapping[str, Norms]) -> list[Answer]:
    """All arms, the best first."""
    return [_answer(comparison, arm, histories) for arm in comparison.arms]


def half_life(decay: pd.Series) -> pd.Series:
    """Steps in which the gradient halves, ln 2 / -beta; inf where it does not shrink, NaN where it was not measured."""
    return (math.log(2) / -decay).where(decay < 0, math.inf).where(decay.notna())


def paired_gap(comparison: Comparison, arm: str, other: str) -> Interval:
    """How much worse `arm` is than `other` on the seeds that both completed.

    The best arm is chosen by the same runs: of many arms that are alike, most would be found worse than it. So the
    interval is 95% for all pairs of arms together, whichever pair is looked at.
    """
    values = [comparison.arm(name).set_index("seed")["value"] for name in (arm, other)]
    mine, theirs = pd.concat(values, axis=1, join="inner").dropna().to_numpy().T
    pairs = math.comb(len(comparison.arms), 2)
    return mean_interval(theirs - mine if comparison.maximize else mine - theirs, among=pairs)


def _answer(comparison: Comparison, arm: str, histories: Mapping[str, Norms]) -> Answer:
    mine, best = comparison.arm(arm), comparison.arms[0]
    measure, diverged = comparison.interval(mine["value"]), int(mine["value"].isna().sum())
    gap = None if arm == best else paired_gap(comparison, arm, best)
    sentences = (
        _diverging(diverged, len(mine)),
        _ranking(comparison, measure, gap),
        _learning(comparison, measure),
    )
    clips = [histories[str(run)].active for run in mine.index if str(run) in histories]
    return Answer(
        arm,
        runs=len(mine),
        diverged=diverged,
        measure=measure,
        gap=gap,
        beaten=math.nan if gap is None else _beaten(comparison, best, arm),
        half_life=float(half_life(mine["decay"]).median()),
        horizon=float(mine["horizon"].median()),
        verdicts=dict(Counter(map(str, mine["verdict"])).most_common()),
        active=_mean(clips) if is_clipped(mine) else math.nan,
        updates=_mean(mine["updates"]),
        seconds=_mean(mine["seconds"]),
        sentence=" ".join(filter(None, sentences)),
    )


def is_clipped(runs: pd.DataFrame) -> bool:
    """Whether the runs of an arm have a clip policy."""
    return "params.clip.name" in runs and str(runs["params.clip.name"].iloc[0]) != "none"


def _beaten(comparison: Comparison, best: str, arm: str) -> float:
    first, second = (comparison.arm(name)["value"].to_numpy(float) for name in (best, arm))
    return improvement(first, second, comparison.maximize)


def _diverging(diverged: int, runs: int) -> str:
    if not diverged:
        return ""
    if diverged == runs:
        return "The run diverged." if runs == 1 else f"All {runs} runs diverged."
    return f"{diverged} of {runs} runs diverged; what follows is of the others."


def _ranking(comparison: Comparison, measure: Interval, gap: Interval | None) -> str:
    """Against the best arm; the numbers stand beside it in the table."""
    if not measure.seeds or len(comparison.arms) == 1:
        return ""
    if gap is None:
        return "Best mean of all arms." if measure.seeds > 1 else "Best on its one seed."
    if gap.seeds < 2:
        return "" if measure.seeds < 2 else "Too few seeds in common with the best to tell a difference."
    if not gap.excludes(0.0):
        return f"No difference to the best shown at {gap.seeds} seeds."
    return f"{'Worse' if gap.mean > 0 else 'Better'} than the best at {gap.seeds} seeds."


def _learning(comparison: Comparison, measure: Interval) -> str:
    """Against the naive guess."""
    naive = comparison.baseline
    if not measure.seeds or math.isnan(naive):
        return ""
    better = (measure.mean > naive) == comparison.maximize
    if measure.seeds < 2:
        return f"{'Ahead of' if better else 'Behind'} the naive guess on its one seed."
    if not measure.excludes(naive):
        return "Not shown to differ from the naive guess."
    return f"{'Beats' if better else 'Worse than'} the naive guess."


def format_interval(interval: Interval) -> str:
    """A mean with its interval, as many digits as its width can bear."""
    if not interval.seeds:
        return "-"
    mean, low, high = interval[:3]
    if math.isnan(low):
        return f"{mean:#.4g}"
    digits = _digits(mean, high - low)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _digits(mean: float, width: float) -> int:
    """Decimals that show the interval's width with two digits."""
    scale = width if width > 0 else abs(mean) / 100
    return int(np.clip(1 - math.floor(math.log10(scale)), 0, 8)) if scale > 0 else 0


def _mean(values: pd.Series | list[float]) -> float:
    present = np.asarray(values, float)
    return float(np.nanmean(present)) if np.isfinite(present).any() else math.nan
