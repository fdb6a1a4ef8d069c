"""The one error a user is meant to read (which key, which value, what is allowed), and the end that is none."""

from collections.abc import Iterable
from difflib import get_close_matches

from study.masking import masked

UNUSABLE = 2
"""The exit code of a command that was refused."""
SHOWN = 300
"""Characters of a value in a message."""


class ConfigError(Exception):
    """A configuration or an input file that cannot be used; its text is the whole message, exit code 2.

    Messages have what other libraries say in them, so secrets are masked here.
    """

    def __str__(self) -> str:
        """The message."""
        return masked(super().__str__())


class Pruned(Exception):
    """A run ended early because it is not worth its time; its text says why. No failure."""


def shown(value: object) -> str:
    """A value as messages show it: in quotes if it is a text, control characters spelled out, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known word closest to `word`, or an empty string."""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""
