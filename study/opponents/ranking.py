"""The best of several opponents, and how far a network is ahead of it, in one number that all tasks share."""

import math
from collections.abc import Mapping
from typing import Literal

from study.opponents.cache import Score

Direction = Literal["minimize", "maximize"]
LEVEL = 0.02
"""Share of an opponent's error by which one run must differ to be ahead or behind: another seed changes as much."""


def best(scores: Mapping[str, Score], primary: str, direction: Direction) -> str:
    """The name of the opponent with the best primary measure on the test split: the hardest one to beat.

    It is chosen on the test split on purpose: to be ahead of it is to be ahead of all.

    Raises:
        ValueError: there is no opponent.
    """
    sign = 1 if direction == "minimize" else -1
    return min(scores, key=lambda name: _last_if_nan(sign * scores[name].metrics["test"][primary]))


def skill(value: float, opponent: float, direction: Direction) -> float:
    """The share of the opponent's error that the network does without: 1 - error / error of the opponent.

    0: no better; 1: perfect; below 0: behind. The error is the measure itself where less is better (RMSE, nats), else
    what it lacks to 1 (accuracy, F1). NaN where the opponent makes no error.
    """
    error, reference = (x if direction == "minimize" else 1 - x for x in (value, opponent))
    return 1 - error / reference if reference > 0 else math.nan


def standing(value: float, opponent: float, direction: Direction) -> str:
    """`ahead of`, `level with` (within `LEVEL`) or `behind`: where a network stands; behind if its measure is NaN."""
    return in_words(0.0 if value == opponent else skill(value, opponent, direction))


def in_words(skill: float) -> str:
    """The same by the skill over the opponent."""
    return "ahead of" if skill > LEVEL else "level with" if abs(skill) <= LEVEL else "behind"


def _last_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value
