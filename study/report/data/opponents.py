"""What the arms of a comparison are measured against: the opponents that runs record in their tag `opponents`."""

import json
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from study.report.data.comparison import Comparison, worth
from study.report.data.levels import level_intervals
from study.report.data.reading import tried
from study.report.data.runs import column
from study.report.data.statistics import Interval
from study.standing import standing


@dataclass(frozen=True)
class Against:
    """An arm against the opponents of its runs.

    Attributes:
        gaps: by opponent, the hardest first: how much worse the arm is, mean over seeds, with an interval that holds
            for all arms together (Bonferroni); opponents lie on one line, so that their number does not matter.
        stands: by opponent, where the mean of the arm stands, in words; it counts where there is one seed.
        levels: by opponent, its own measure, mean over the runs of the arm.
    """

    gaps: dict[str, Interval]
    stands: dict[str, str]
    levels: dict[str, float]

    @property
    def beaten(self) -> list[str]:
        """The opponents that the arm beats: shown at several seeds, or ahead of them on its one seed."""
        ahead = {name: self.stands[name] == "ahead of" for name in self.gaps}
        return [name for name, gap in self.gaps.items() if (gap.high < 0 if gap.seeds > 1 else ahead[name])]

    @property
    def cell(self) -> str:
        """How many are beaten, and the hardest that is not."""
        if not self.gaps:
            return "-"
        beaten, others = self.beaten, [name for name in self.gaps if name not in self.beaten]
        if not others:
            return f"all {len(beaten)}" if len(beaten) > 1 else beaten[0]
        return f"{len(beaten)} of {len(self.gaps)}, not {others[0]}" if beaten else f"none of {len(others)}"

    @property
    def sentence(self) -> str:
        """How the arm compares with the hardest opponent, in words; empty where there is none."""
        if not self.gaps:
            return ""
        name, gap = next(iter(self.gaps.items()))
        hardest = f"{name} ({self.levels[name]:.4g})"
        if name in self.beaten:
            every = hardest if len(self.gaps) == 1 else f"every opponent, the hardest being {hardest}"
            return f"beats {every}" if gap.seeds > 1 else f"ahead of {every}, on its one seed"
        if gap.seeds < 2:
            return f"{self.stands[name]} {hardest} on its one seed"
        return f"behind {hardest}" if gap.low > 0 else f"not distinguishable from {hardest} at {gap.seeds} seeds"


def against(comparison: Comparison) -> dict[str, Against]:
    """Every arm against the opponents recorded by its runs that were not lost; none by runs of older versions."""
    every = _references(comparison.runs)
    gaps = {name: level_intervals(comparison.behind(values)) for name, values in every.items()}
    own = [{name: found[i] for name, found in gaps.items()} for i in range(len(comparison.arms))]
    return {arm: _against(comparison, arm, every, mine) for arm, mine in zip(comparison.arms, own, strict=True)}


def _against(
    comparison: Comparison, arm: str, every: dict[str, pd.Series], gaps: dict[str, Interval]
) -> Against:  # fmt: skip
    """One arm against the opponents that its runs recorded, the hardest first."""
    mine = worth(comparison.arm(arm)).dropna()
    levels = {name: values.reindex(mine.index).dropna() for name, values in every.items()}
    found = {name: float(values.mean()) for name, values in levels.items() if len(values)}
    hardest_first = sorted(found, key=lambda name: -gaps[name].mean)
    stands = {name: standing(float(mine.mean()), level, comparison.direction) for name, level in found.items()}
    return Against({name: gaps[name] for name in hardest_first}, stands, found)


def reached(comparison: Comparison) -> dict[str, tuple[float, float]]:
    """The smallest and the largest value of every opponent over the runs, the best first.

    They differ where arms differ in what decides the task, such as the length of its sequences.
    """
    references = _references(comparison.runs)
    best = sorted(references.items(), key=lambda item: item[1].mean(), reverse=comparison.maximize)
    return {name: (float(values.min()), float(values.max())) for name, values in best}


def hardest(comparison: Comparison) -> tuple[str, float] | None:
    """The best opponent and its value; None where there is none, or not the same for all runs."""
    first = next(iter(reached(comparison).items()), None)
    return None if first is None or not math.isclose(*first[1]) else (first[0], first[1][0])


def _recorded(text: str) -> dict[str, float]:
    return {str(name): float(value) for name, value in json.loads(text or "{}").items()}


def _references(runs: pd.DataFrame) -> dict[str, pd.Series]:
    """The value of every opponent, run by run; NaN where a run has not got it."""
    read = {
        run: tried(f"What run {run} says of opponents", partial(_recorded, text))
        for run, text in column(runs, "opponents").items()
    }
    recorded = {run: found for run, found in read.items() if found}
    names = dict.fromkeys(name for found in recorded.values() for name in found)
    values = {name: [found.get(name, np.nan) for found in recorded.values()] for name in names}
    return {name: pd.Series(of_runs, list(recorded), dtype=float) for name, of_runs in values.items()}
