"""The one error a user is meant to read (which key, which value, what is allowed), and the end that is none."""

from collections.abc import Iterable
from difflib import get_close_matches

from study.masking import masked

UNUSABLE = 2
"""The exit code of a command that was refused."""


class ConfigError(Exception):
    """A configuration or an input file that cannot be used; its text is the whole message, exit code 2.

    Messages have what other libraries say in them, so secrets are masked here.
    """

    def __str__(self) -> str:
        """The message."""
        return masked(super().__str__())


class Trouble(ConfigError):
    """A store that does not answer: nothing is wrong with what was asked for, which may be asked for again as it is."""


class Undelivered(Trouble):
    """A run has ended, and what it wrote lies in a file: its store does not take it."""


class Pruned(Exception):
    """A run ended early because it is not worth its time; its text says why. No failure."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known word closest to `word`, or an empty string."""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""
