"""Commands as a person types them, in processes of their own that start warm.

`python -m study.train` spends seconds on importing torch, Lightning and MLflow. A server process imports them once and
forks for every command, so that each has its own folder, environment, output, signals and exit code, and nothing of the
tests'. A cold start is a claim of its own: `test_install`, `test_command` and the Ctrl-C of `test_sweep` make one. What
is registered with `atexit` is not called, as in any forked process.
"""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

WARM = multiprocessing.get_context("forkserver")
LIBRARIES = ("mlflow.store.tracking.sqlalchemy_store", "optuna", "pytorch_lightning", "sklearn.ensemble", "scipy.stats")
STUDY = ("study.analysis.result", "study.report.pages.study", "study.sweep.sweeper", "study.training.trainer")
WARM.set_forkserver_preload([*LIBRARIES, *STUDY])


class Typed:
    """A command that runs, by the names of `subprocess.Popen`."""

    def __init__(self, module: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str], said: Path):
        self.said = said
        self._process = WARM.Process(target=_become, args=(module, arguments, folder, dict(env), said))
        self._process.start()

    def poll(self) -> int | None:
        """The exit code, once there is one."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """The exit code at its end."""
        self._process.join(seconds)
        assert self._process.exitcode is not None
        return self._process.exitcode

    def send_signal(self, sign: signal.Signals) -> None:
        """As `kill` would."""
        assert self._process.pid is not None
        os.kill(self._process.pid, sign)

    @property
    def stdout(self) -> str:
        """What it has printed by now."""
        return Path(self.said, "stdout").read_text()

    @property
    def stderr(self) -> str:
        """Its messages by now."""
        return Path(self.said, "stderr").read_text()


@contextmanager
def started(module: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[Typed]:
    """Type `python -m module arguments` in a folder; the command does not outlive the block."""
    with TemporaryDirectory() as said:
        for stream in ("stdout", "stderr"):
            Path(said, stream).touch()
        command = Typed(module, arguments, folder, env, Path(said))
        try:
            yield command
        finally:
            if command.poll() is None:
                command.send_signal(signal.SIGKILL)
                command.wait()


def typed(module: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> CompletedProcess[str]:
    """The same, waited for."""
    with started(module, arguments, folder, env) as command:
        code = command.wait()
        return CompletedProcess([module, *arguments], code, command.stdout, command.stderr)


def _become(module: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str], said: Path) -> None:
    """In the new process: be the command."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, stream in enumerate(("stdout", "stderr"), 1):
        file = (said / stream).open("w", buffering=1)
        os.dup2(file.fileno(), number)
        setattr(sys, stream, file)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
