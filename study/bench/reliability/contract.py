"""What a fault is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tally:
    """What became of the things that a fault was tried on.

    Attributes:
        tried: how many.
        lost: how many of them were lost, made twice, left changed or let in.
        seen: what was seen, in a few words with figures.
    """

    tried: int
    lost: int
    seen: str = ""


@dataclass(frozen=True)
class Fault:
    """One row of the table of reliability.

    Attributes:
        name: on the command line.
        about: the fault, in a sentence of the table.
        run: puts things through it, in an empty folder, with so many seeds.
    """

    name: str
    about: str
    run: Callable[[Path, int], Tally]
