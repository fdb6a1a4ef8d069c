"""The result of a comparison: for each arm its numbers, and a sentence that claims no more than intervals support."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.probes.flow import half_life
from study.report.data.comparison import Comparison, worth
from study.report.data.differences import MOST, Differences, smallest_alone
from study.report.data.histories import Norms
from study.report.data.levels import level_intervals
from study.report.data.opponents import Against, against
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
        sentence: the conclusion, for a reader.
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
    sentences = (
        _losing(mine),
        _behind(gap, measure) if gap else _leading(study, measure),
        opponents.sentence or _learning(naive),
    )
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
        sentence=" ".join(filter(None, sentences)),
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


def _losing(runs: pd.DataFrame) -> str:
    """How many runs are left out, and why, in words."""
    lost, of = runs.loc[worth(runs).isna(), "outcome"], len(runs)
    if not len(lost):
        return ""
    ruined = int((lost == "ruined").sum())
    if of == 1:
        return "The run was ruined by its own updates." if ruined else "The run diverged."
    counts = ((len(lost) - ruined, "diverged"), (ruined, "ruined by their own updates"))
    words = " and ".join(f"{count} {word}" for count, word in counts if count)
    return f"Of {of} runs {words}." + ("" if len(lost) == of else " The rest of this row is about the others.")


def _leading(study: Differences, measure: Interval) -> str:
    """How the best arm compares with the others, in words."""
    if not measure.seeds or study.arms < 2:
        return ""
    if measure.seeds < 2:
        return "Best on its one seed."
    worse = sum(study.between(place, 0).low > 0 for place in range(1, len(study.values)))
    return f"Best mean of {study.arms} arms; shown to be better than {worse or 'none'} of the others."


def _behind(gap: Interval, measure: Interval) -> str:
    """How another arm compares with the best one, in words."""
    if gap.seeds < 2:
        return "" if measure.seeds < 2 else "Too few seeds in common with the best arm to show a difference."
    if not gap.excludes(0.0):
        return f"No difference to the best shown at {gap.seeds} seeds."
    return f"{'Worse' if gap.mean > 0 else 'Better'} than the best at {gap.seeds} seeds."


def _learning(gap: Interval) -> str:
    """How an arm compares with the naive guess, in words."""
    if not gap.seeds:
        return ""
    if gap.seeds < 2:
        return f"{'Ahead of' if gap.mean < 0 else 'Behind'} the naive guess on its one seed."
    if not gap.excludes(0.0):
        return f"Not shown to differ from the naive guess at {gap.seeds} seeds."
    return f"{'Beats' if gap.mean < 0 else 'Worse than'} the naive guess."


def format_power(study: Differences) -> str:
    """What the differences between the arms rest on and how small ones they can show; empty without two seeds."""
    seeds = int(np.isfinite(study.values).sum(axis=1).max(initial=0))
    if study.arms < 2 or seeds < 2:
        return ""
    if study.pooled:
        return (
            f"What this study can show, {study.arms} arms at {seeds} seeds: a difference of means is called shown from "
            f"{study.critical(seeds):.2g} on, and a true difference of {study.detectable(seeds):.2g} is the smallest "
            f"that 80% of such studies show. One run scatters by {study.fit.scatter:.2g} around its arm and its seed "
            f"(standard deviation, {study.fit.df} degrees of freedom)."
        )
    return (
        "The arms do not scatter alike, so each difference rests on the seeds of its own two arms. What this study can "
        f"show, {study.arms} arms at {seeds} seeds: a true difference of {smallest_alone(study.arms, seeds):.2g} "
        "standard deviations of one run is the smallest that 80% of such studies show."
    )


def format_seeds(needed: float) -> str:
    """A number of seeds that are needed."""
    return "-" if math.isnan(needed) else f"more than {MOST}" if math.isinf(needed) else f"{needed:.0f}"


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
