"""Processes that train beside this one, and start warm.

Torch, Lightning and MLflow take seconds to import. One process imports them, once, and forks for every other. It runs
no thread of Python's and does not touch a GPU, so its forks are as good as new processes.
"""

import os
import signal
from collections.abc import Mapping
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext

PRELOADED = (
    *("study.analysis.result", "study.training.trainer", "study.opponents", "study.sweep.workers.worker"),
    "mlflow.store.tracking.sqlalchemy_store",
)
"""What every training imports; the last where its store is a database."""


def warm() -> ForkServerContext:
    """The context in which processes are made: `warm().Process`.

    They have the environment of the first one that this process made; `adopt` gives them that of today.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["study.preloaded"])
    return context


def preload() -> None:
    """Begin to import what trainings need, beside what this process does until it makes the first of them.

    A Ctrl-C is for this process: the importing one is started to ignore it.
    """
    warm()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def adopt(environment: Mapping[str, str]) -> None:
    """Give this process the environment of the one that started it."""
    environment = dict(environment)
    os.environ.clear()
    os.environ.update(environment)
