"""Processes that train beside this one, and start warm.

Torch, Lightning and MLflow take seconds to import. One process imports them, once, and forks for every other. It runs
no thread of Python's and does not touch a GPU, so its forks are as good as new processes.
"""

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

PRELOADED = ("study.analysis.result", "study.training.trainer", "study.opponents", "optuna")
"""What every training imports."""


def warm() -> ForkServerContext:
    """The context in which processes are made: `warm().Process`.

    They have the environment of the first one that this process made; pass what may have changed since.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context
