"""The result of a comparison: for each arm its numbers, and a sentence that claims no more than intervals support."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.probes.flow import half_life
from study.report.data.histories import Norms
from study.report.data.runs import Comparison
from study.report.data.statistics import Interval, improvement, mean_interval


@dataclass(frozen=True)
class Answer:
    """One arm of a comparison.

    Attributes:
        arm: its name.
        runs: number of runs that count.
        diverged: number of them that diverged; `measure` is over the others.
        measure: mean on the test split over seeds.
        gap: mean difference to the best arm, paired by seed, over the seeds on which neither diverged; None for the
            best arm itself. Above zero is worse, whether the measure is minimized or maximized.
        beaten: probability that a run of the best arm beats one of this arm; NaN for the best arm.
        half_life: of the gradient, steps, median over runs; inf where it does not shrink.
        horizon: effective horizon, steps, median over runs.
        verdicts: number of runs by verdict.
        clipped: share of updates in which clipping changed the gradient, mean over runs; NaN without a clip policy.
        updates: mean over runs.
        seconds: mean over runs.
        sentence: the conclusion, for a reader.
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
    clipped: float
    updates: float
    seconds: float
    sentence: str


def answer(comparison: Comparison, norms: Mapping[str, Norms]) -> list[Answer]:
    """A row for each arm, best first.

    Args:
        comparison: of one task.
        norms: gradient norms by run id, of the runs that have any.
    """
    return [_answer(comparison, arm, norms) for arm in comparison.arms]


def paired_gap(comparison: Comparison, arm: str, other: str) -> Interval:
    """How much worse `arm` is than `other`, paired by seed, over the seeds that both completed.

    The interval is 95% for all pairs of arms together: the best arm is chosen by the same runs, and compared with it
    pair by pair most of many equal arms would be found worse.
    """
    values = [comparison.arm(name).set_index("seed")["value"] for name in (arm, other)]
    mine, theirs = pd.concat(values, axis=1, join="inner").dropna().to_numpy().T
    pairs = math.comb(len(comparison.arms), 2)
    return mean_interval(theirs - mine if comparison.maximize else mine - theirs, among=pairs)


def _answer(comparison: Comparison, arm: str, norms: Mapping[str, Norms]) -> Answer:
    mine, best = comparison.arm(arm), comparison.arms[0]
    measure, diverged = comparison.interval(mine["value"]), int(mine["value"].isna().sum())
    gap = None if arm == best else paired_gap(comparison, arm, best)
    sentences = (
        _diverging(diverged, len(mine)),
        _ranking(comparison, measure, gap),
        _learning(comparison, measure),
    )
    clipped = [norms[str(run)].clipped for run in mine.index if str(run) in norms]
    return Answer(
        arm,
        runs=len(mine),
        diverged=diverged,
        measure=measure,
        gap=gap,
        beaten=math.nan if gap is None else _beaten(comparison, best, arm),
        half_life=float(mine["decay"].dropna().map(half_life).median()),
        horizon=float(mine["horizon"].median()),
        verdicts=dict(Counter(map(str, mine["verdict"])).most_common()),
        clipped=_mean(clipped) if is_clipped(mine) else math.nan,
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
    return f"{diverged} of {runs} runs diverged; the rest of this row is about the others."


def _ranking(comparison: Comparison, measure: Interval, gap: Interval | None) -> str:
    """How the arm compares with the best one, in words."""
    if not measure.seeds or len(comparison.arms) == 1:
        return ""
    if gap is None:
        return "Best mean of all arms." if measure.seeds > 1 else "Best on its one seed."
    if gap.seeds < 2:
        return "" if measure.seeds < 2 else "Too few seeds in common with the best arm to show a difference."
    if not gap.excludes(0.0):
        return f"No difference to the best shown at {gap.seeds} seeds."
    return f"{'Worse' if gap.mean > 0 else 'Better'} than the best at {gap.seeds} seeds."


def _learning(comparison: Comparison, measure: Interval) -> str:
    """How the arm compares with the naive guess, in words."""
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
    """A mean with its interval, rounded to the digits that the width of the interval supports."""
    if not interval.seeds:
        return "-"
    mean, low, high = interval[:3]
    if math.isnan(low):
        return f"{mean:#.4g}"
    digits = _digits(mean, high - low)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _digits(mean: float, width: float) -> int:
    """Decimals that show the width of the interval with two digits."""
    scale = width if width > 0 else abs(mean) / 100
    return int(np.clip(1 - math.floor(math.log10(scale)), 0, 8)) if scale > 0 else 0


def _mean(values: pd.Series | list[float]) -> float:
    """The mean of the values that are not NaN; NaN where none is finite."""
    present = np.asarray(values, float)
    return float(np.nanmean(present)) if np.isfinite(present).any() else math.nan
