"""Commands that train, typed in a folder, in processes forked from this one; what they leave, against undisturbed ones.

Also the warm process from which a sweep's workers are forked is forked from here: what takes seconds is imported once.
The processes of a command are those of its session, whatever became of its parent.
"""

import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import psutil

from study.errors import UNUSABLE

if TYPE_CHECKING:
    from study.tracking.reader import Logged

SLUG = "kills"
SMALL = ("task=forecasting_sine_mix", "task.steps=2000", "model.hidden_size=4", "trainer.max_updates=50")
OFTEN = ("trainer.validate_every=10", "trainer.checkpoint=0", "probe=none", "trainer.progress_bar=false")
RUN = (f"slug={SLUG}", *SMALL, *OFTEN, "model=lstm")
SWEEP = ("--multirun", f"slug={SLUG}", *SMALL, *OFTEN, "model=elman,lstm", "seed=0,1", "sweep.workers=2")
CELLS = 4
CONFIG, OVERRIDES = "definition/config.yaml", "definition/overrides.yaml"
MOST = 6
"""Times that the same command is typed before what it is to make counts as lost."""
LINGER = 20.0
"""Seconds in which processes without a parent have to end."""
Prepare = Callable[[], object]
WARM = (
    *("study.sweep.sweeper", "study.sweep.workers.worker", "study.sweep.summary", "study.report.pages.study"),
    *("study.opponents", "study.training.trainer", "study.resume", "study.reproduce.differences", "study.train"),
    *("study.analysis.result", "mlflow.store.tracking.sqlalchemy_store"),
)
"""What commands import."""


def warm() -> None:
    """Import what commands need, once for all processes that are forked from here."""
    for module in WARM:
        import_module(module)


class Command:
    """`python -m module arguments`, typed in a folder.

    Args:
        folder: its current one; the stores lie there.
        module: of the command.
        arguments: as typed.
        prepare: called in the new process before the command, to change something in it and in all that it starts.
    """

    def __init__(self, folder: Path, module: str, arguments: Sequence[str], prepare: Prepare = int):
        self.folder = folder
        self._process = get_context("fork").Process(target=_become, args=(folder, module, arguments, prepare))
        self._process.start()
        self.pid = self._process.pid or 0

    @property
    def code(self) -> int | None:
        """The exit code, once there is one."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code at its end; None if it has not come in time."""
        self._process.join(seconds)
        return self.code

    def processes(self) -> list[psutil.Process]:
        """All that belong to it and live, itself among them."""
        return [process for process in psutil.process_iter() if _belongs(process, self.pid)]

    def workers(self) -> list[psutil.Process]:
        """The processes that train: each is the first of a group of its own."""
        return [one for one in self.processes() if one.pid != self.pid and _group(one.pid) == one.pid]

    def warm(self) -> list[psutil.Process]:
        """The process from which workers are forked."""
        found = [one for one in self.processes() if one.ppid() == self.pid]
        return [one for one in found if "resource_tracker" not in " ".join(one.cmdline())]


def _belongs(process: psutil.Process, session: int) -> bool:
    with suppress(OSError, psutil.Error):
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and os.getsid(process.pid) == session
    return False


def _group(pid: int) -> int | None:
    with suppress(OSError):
        return os.getpgid(pid)
    return None


def _become(folder: Path, module: str, arguments: Sequence[str], prepare: Prepare) -> None:
    """In the new process: be the command, in a session of its own as a terminal's is."""
    os.setsid()
    os.chdir(folder)
    os.environ |= {"MLFLOW_TRACKING_URI": store(folder), "OPTUNA_STORAGE": trials(folder)}
    for number, name in enumerate(("stdout", "stderr"), 1):
        said = Path(name).open("a", buffering=1)  # noqa: SIM115, as long as the process
        os.dup2(said.fileno(), number)
        setattr(sys, name, said)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [module, *arguments]
    prepare()
    with patch("multiprocessing.util.spawnv_passfds", _fork):  # before the command has a thread, or opens a database
        forkserver.ensure_running()
    sys.exit(import_module(module).main())


def _fork(path: str | bytes, arguments: Sequence[str], passed: Sequence[int]) -> int:
    """Stand for the start of Python with a line of code: all that it would import is here."""
    if (pid := os.fork()) == 0:
        for number in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *passed}:
            with suppress(OSError):  # that of the folder
                os.close(number)  # else the end of the others would not be seen
        if "resource_tracker" in arguments[-1]:
            for number in passed:
                os.set_inheritable(number, True)
            os.execv(path, list(arguments))
        with suppress(BaseException):
            exec(arguments[-1], {})
        os._exit(0)
    return pid


def store(folder: Path) -> str:
    """The store of runs of a folder."""
    return f"sqlite:///{folder}/mlflow.db"


def trials(folder: Path) -> str:
    """The storage of the study of a folder."""
    return f"sqlite:///{folder}/optuna.db"


@contextmanager
def ending(*commands: Command) -> Iterator[None]:
    """End whatever is left of commands after the block."""
    try:
        yield
    finally:
        for command in commands:
            for process in command.processes():
                with suppress(psutil.Error):
                    process.kill()
            command.wait()


def repeat(folder: Path, arguments: Sequence[str], prepare: Prepare) -> int:
    """Type a command, or resume its run, until it succeeds; how often, `MOST` + 1 if it never did.

    A run that is finished already is left alone; one that `resume` refuses is made by the command that started it.
    """
    code: int | None = None
    for count in range(1, MOST + 1):
        runs = [] if arguments is SWEEP else _runs(folder)
        if "FINISHED" in dict(runs).values():
            return count - 1
        module, typed = ("study.resume", [runs[0][0]]) if runs and code != UNUSABLE else ("study.train", arguments)
        command = Command(folder, module, typed, prepare)
        with ending(command):
            if (code := command.wait(120)) == 0:
                return count
    return MOST + 1


def states(folder: Path) -> Counter[str]:
    """How many runs there are by their status."""
    return Counter(status for _, status in _runs(folder))


def _runs(folder: Path) -> list[tuple[str, str]]:
    """Ids and states of the runs that train; without MLflow, whose open connections commands would be forked with."""
    trained = "select run_uuid, status from runs where run_uuid not in (select run_uuid from tags where key = 'kind')"
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return connection.execute(trained).fetchall()


def wrong(folder: Path, reference: Path, arguments: Sequence[str], count: int, command: Command) -> list[str]:
    """What is not as it is after an undisturbed command.

    Args:
        folder: of the command.
        reference: of the undisturbed one.
        arguments: of both.
        count: how often it was typed.
        command: that was disturbed.
    """
    found = ["never made"] if count > MOST else []
    found += [f"{left} processes stay"] if (left := left_over(command)) else []
    found += wrong_trials(folder) if arguments is SWEEP else []
    return found + wrong_runs(folder, reference)


def left_over(command: Command) -> int:
    """How many processes of a command do not end though their parent has."""
    until = time.monotonic() + LINGER
    while command.processes() and time.monotonic() < until:
        time.sleep(0.1)
    return len(command.processes())


def wrong_trials(folder: Path) -> list[str]:
    """What is not as it is after an undisturbed sweep: every cell made once, no trial under way."""
    from study.sweep.trials.storage import open_study

    with open_study(trials(folder), SLUG) as study:
        found = study.get_trials(deepcopy=False)
    made = Counter(str(trial.user_attrs["cell"]) for trial in found if trial.state.name == "COMPLETE")
    wrong = [f"{cell} made {count} times" for cell, count in made.items() if count > 1]
    wrong += [f"{len(made)} of {CELLS} cells made"] if len(made) != CELLS else []
    return wrong + [f"trial {trial.number} is {trial.state.name}" for trial in found if not trial.state.is_finished()]


def wrong_runs(folder: Path, reference: Path) -> list[str]:
    """Where the runs of a folder are not those of another: their number, their ends, and every value in them."""
    from study.tracking.reader import search

    then, here = (search(store(place), slug=SLUG) for place in (reference, folder))
    wrong = [f"{run.name} is {run.status}" for run in here if run.status not in ("FINISHED", "KILLED")]
    made = [run for run in here if run.status == "FINISHED"]
    if sorted(run.name for run in made) != sorted(run.name for run in then):
        return [*wrong, f"finished are {sorted(run.name for run in made)}"]
    for run in then:
        same = next(other for other in made if other.name == run.name)
        if "kind" not in run.tags:
            wrong += _differences(run, same)
    return wrong


def _differences(then: "Logged", here: "Logged") -> list[str]:
    from study.reproduce.compare import compare

    wrong = [] if compare(then, here).identical and compare(here, then).identical else [str(compare(then, here))]
    files, others = ({name for name in run.files() if "resumed_" not in name} for run in (then, here))
    if lacking := files ^ others:
        wrong.append(f"{len(lacking)} files that only one has, such as {min(lacking)}")
    wrong += ["another parameter"] if then.params != here.params else []
    wrong += [f"another {name}" for name in sorted(files & others) if not _same(then, here, name)]
    return [f"{here.name}: {difference}" for difference in wrong]


def _same(then: "Logged", here: "Logged", name: str) -> bool:
    """Whether a file of a run holds the same as that of another; tables are compared as numbers."""
    if name.endswith(".safetensors"):
        from safetensors.torch import load

        from study.tracking.provenance import digest_of

        first, other = (digest_of(dict(sorted(load(run.read(name)).items()))) for run in (then, here))
        return first == other
    return name not in (CONFIG, OVERRIDES) or then.read(name) == here.read(name)
