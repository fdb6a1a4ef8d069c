"""Commands in processes of their own, timed with all that they start."""

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
"""Of Linux's prctl: a process whose parent has ended becomes a child of this one."""


class Spent(NamedTuple):
    """Seconds on the wall, and of the processor."""

    wall: float
    cpu: float


def spent(command: Sequence[str], folder: Path, entered: str = "") -> Spent:
    """What a command took, with every process that it started, to the end of the last of them.

    Args:
        command: program and arguments; what it prints is dropped, how it ends too.
        folder: its current one.
        entered: its standard input.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # else the time of those that outlive it is lost
    began, before = time.perf_counter(), _of_children()
    subprocess.run(command, cwd=folder, input=entered, text=True, capture_output=True, check=False)
    wall = time.perf_counter() - began
    with suppress(ChildProcessError):
        while True:
            os.wait()
    return Spent(wall, _of_children() - before)


def _of_children() -> float:
    """CPU seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
