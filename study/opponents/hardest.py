"""The best of several opponents."""

import math
from collections.abc import Mapping

from study.opponents.cache import Score
from study.standing import Direction


def best(scores: Mapping[str, Score], primary: str, direction: Direction) -> str:
    """The name of the opponent with the best primary measure on the test split: the hardest one to beat.

    It is chosen on the test split on purpose: to be ahead of it is to be ahead of all.

    Raises:
        ValueError: there is no opponent.
    """
    sign = 1 if direction == "minimize" else -1
    return min(scores, key=lambda name: _last_if_nan(sign * scores[name].metrics["test"][primary]))


def _last_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value
