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
"""The exit code where the trouble could not be made; it counts as lost."""
MOMENTS = {
    "before": None,
    "define": ("study.tracking.provenance", "definition"),
    "update": ("study.training.recorder", "Recorder.on_train_batch_end"),
    "checkpoint": ("study.training.checkpoint", "save"),
    "end": ("study.analysis.result", "conclude"),
    "page": ("study.report.pages.page", "Page.write"),
}
"""When it happens: before the command, or as some function is called."""
OFTEN = ("on_train_batch_end", "save")
"""Functions at whose second call it happens."""
STRUCK = "struck"
"""The file that is there once there was trouble."""


def in_a_process(work: Callable[..., Any], *given: Any) -> Any:
    """What some work returns, done in a forked process."""
    context = get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=lambda: answers.put(work(*given)))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} ended with exit code {process.exitcode}")
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
        _strike(trouble, folder)
    elif trouble is not None and at is not None:
        _patch(*at, trouble, folder)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _strike(trouble: Callable[[], bool], folder: Path) -> None:
    (folder / STRUCK).touch()
    if not trouble():
        os._exit(SKIPPED)


def _patch(module: str, name: str, trouble: Callable[[], bool], folder: Path) -> None:
    """Let there be trouble at the second call of a function, or the first of one that is called once."""
    *owner, name = name.split(".")
    place = getattr(import_module(module), owner[0]) if owner else import_module(module)
    function, calls = getattr(place, name), itertools.count(1)

    def troubled(*given: Any, **named: Any) -> Any:
        if next(calls) == (2 if name in OFTEN else 1):
            _strike(trouble, folder)
        return function(*given, **named)

    setattr(place, name, troubled)
