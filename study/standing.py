"""How far a network is ahead of an opponent, in one number that all tasks share."""

import math
from typing import Literal

Direction = Literal["minimize", "maximize"]
LEVEL = 0.02
"""Share of an opponent's error by which one run must differ to be ahead or behind: another seed changes as much."""


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
