"""Commands typed in processes forked from one that has imported everything, and trouble at some moment of them."""

import itertools
import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

STORE = "store/mlflow.db"
SKIPPED = 99
"""The exit code where the trouble could not be made."""
MOMENTS = {
    "before": None,
    "define": ("study.train", "_define"),
    "update": ("study.training.recorder", "Recorder.on_train_batch_end"),
    "checkpoint": ("study.training.checkpoint", "save"),
    "end": ("study.analysis.result", "conclude"),
    "page": ("study.report.pages.page", "Page.write"),
}
"""When it happens: before the command, or as some function is called."""
OFTEN = ("on_train_batch_end", "save")
"""Functions at whose second call it happens."""
WARM: tuple[str, ...] = (
    "study.analysis.result",
    "study.report.pages.study",
    "study.sweep.sweeper",
    "study.sweep.workers.worker",
)
WARM += ("study.training.trainer", "mlflow.store.tracking.sqlalchemy_store", "study.train")
"""Modules that are imported once."""


def warm() -> None:
    """Import what commands need, once for all processes that are forked from here."""
    for module in WARM:
        import_module(module)


def in_a_process(work: Callable[..., Any], *given: Any) -> Any:
    """What some work returns, done in a forked process."""
    context = get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=lambda: answers.put(work(*given)))
    process.start()
    process.join()
    return answers.get()


class Typed(NamedTuple):
    """What a command left."""

    code: int
    said: str


def type_command(
    folder: Path, module: str, arguments: Sequence[str], trouble: Callable[[], bool] | None = None, at: str = "before"
) -> Typed:
    """Type a command in a process of its own, and let there be trouble at a moment."""
    process = get_context("fork").Process(target=_become, args=(folder, module, arguments, trouble, MOMENTS[at]))
    process.start()
    process.join()
    return Typed(process.exitcode or 0, (folder / "said").read_text())


def _become(
    folder: Path, module: str, arguments: Sequence[str], trouble: Callable[[], bool] | None, at: tuple[str, str] | None
) -> None:
    os.chdir(folder)
    with open("said", "w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    addresses = {"MLFLOW_TRACKING_URI": f"sqlite:///{STORE}", "OPTUNA_STORAGE": "sqlite:///study/optuna.db"}
    os.environ.update(addresses | {"TMPDIR": str(folder / "tmp")})
    tempfile.tempdir = None
    if trouble is not None and at is None:
        trouble()
    elif trouble is not None and at is not None:
        _patch(*at, trouble)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _patch(module: str, name: str, trouble: Callable[[], bool]) -> None:
    """Let there be trouble at the second call of a function, or the first of one that is called once."""
    *owner, name = name.split(".")
    place = getattr(import_module(module), owner[0]) if owner else import_module(module)
    function, calls = getattr(place, name), itertools.count(1)

    def troubled(*given: Any, **named: Any) -> Any:
        if next(calls) == (2 if name in OFTEN else 1) and not trouble():
            os._exit(SKIPPED)
        return function(*given, **named)

    setattr(place, name, troubled)
