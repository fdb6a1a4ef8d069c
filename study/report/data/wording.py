"""Numbers as texts: a mean with its interval, seeds that are needed, what a study can show."""

import math

import numpy as np

from study.report.data.differences import MOST, Differences, smallest_alone
from study.report.data.statistics import Interval


def format_interval(interval: Interval) -> str:
    """A mean ± half of its 95% interval, rounded to the digits that the interval supports; a dash without a value.

    An interval that was cut to possible values (`Interval.within`) is written by its longer side, the one not cut.
    """
    if not interval.seeds:
        return "-"
    mean, low, high = interval[:3]
    if math.isnan(low):
        return f"{mean:#.4g}"
    half = max(mean - low, high - mean)
    digits = _digits(mean, half)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


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


def format_span(values: list[int]) -> str:
    """The updates at which something happened: `update 7`, `updates 7 to 12`."""
    first, last = min(values), max(values)
    return f"update {first:,}" if first == last else f"updates {first:,} to {last:,}"


def _digits(mean: float, half: float) -> int:
    """Decimals that show half an interval with two digits."""
    scale = half if half > 0 else abs(mean) / 100
    return int(np.clip(1 - math.floor(math.log10(scale)), 0, 8)) if scale > 0 else 0
