"""Opponents: classical predictors that a network must beat before what it learnt is worth anything.

A task names its opponents (`Task.opponents`); `scores` fits each on the training part, chooses its order on the
validation part, and measures it as a network is measured: by the task's own measures, on the same batches.

    from study import opponents, tasks

    task = tasks.build(config.task, config.data, seed=0)
    for name, score in opponents.scores(task, config.task, digest="any text", folder=Path("cache")).items():
        print(name, score.label, score.metrics["test"])

A new opponent is one file with a `fit(task)` (see `study.opponents.contract`), one line in `registry`, and its name in
the `opponents` of the tasks it fits; `study.testing.opponents` holds what it must keep to.
"""

from study.opponents.cache import Score, scores
from study.opponents.contract import Fitted, measure
from study.opponents.hardest import best
from study.opponents.registry import OPPONENTS, fit

__all__ = ["OPPONENTS", "Fitted", "Score", "best", "fit", "measure", "scores"]
