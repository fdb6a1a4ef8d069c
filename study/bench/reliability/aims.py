"""Kills at a certain moment: one call of a function is the last thing that the process which makes it does."""

import os
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple


class Aim(NamedTuple):
    """A function, or a method.

    Attributes:
        module: it is a global name of.
        name: dotted within it.
        most: a process may be killed at one of its first so many calls.
        writes: whether it writes a file, its second argument, of which only the first half may get there.
    """

    module: str
    name: str
    most: int = 1
    writes: bool = False


def take(mark: Path, aims: Sequence[Aim], seed: int) -> None:
    """Take aim in this process and in all that are forked from it; the first that gets there is killed, no other.

    Args:
        mark: a file that is there once one was killed.
        aims: one of them, in turn; before the call, after it or in its middle by the seed.
        seed: of what is tried.
    """
    draw, aim = random.Random(seed), aims[seed % len(aims)]
    number, when = draw.randint(1, aim.most), draw.choice(["before", "half" if aim.writes else "after", "after"])
    owner: Any = import_module(aim.module)
    *path, name = aim.name.split(".")
    for part in path:
        owner = getattr(owner, part)
    call, calls = getattr(owner, name), 0

    def last(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != number or not _is_first(mark):
            return call(*arguments, **named)
        if when != "before":
            call(*arguments, **named)
        if when == "half":
            _halve(arguments[1])
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, last)


def _halve(file: Any) -> None:
    """Leave the first half of a file, given by its path or opened."""
    path = getattr(file, "name", file)
    if file is not path:
        file.flush()
    os.truncate(path, os.path.getsize(path) // 2)


def _is_first(mark: Path) -> bool:
    with suppress(FileExistsError):
        mark.touch(exist_ok=False)
        return True
    return False
