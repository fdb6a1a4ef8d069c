"""The one error a user is meant to read (which key, which value, what is allowed), and the end that is none."""

from collections.abc import Iterable
from difflib import get_close_matches

from study.masking import masked

UNUSABLE = 2
"""The exit code of a command that was refused."""
INTERRUPTED = 130
"""The exit code after a Ctrl-C, as a shell reports it: 128 + SIGINT."""
SHOWN = 300
"""Characters of a value in a message."""


class ConfigError(Exception):
    """A configuration or an input file that cannot be used; its text is the whole message, exit code 2.

    Messages have what other libraries say in them, so secrets are masked here.
    """

    def __str__(self) -> str:
        """The message."""
        return masked(super().__str__())


class Trouble(ConfigError):
    """Something outside failed, a disk or a store: no fault of what was asked for, and no result of a run.

    Its text is what failed and what to do.

    Attributes:
        then: what works after that; a run that goes on names its command.
    """

    def __init__(self, *words: str):
        super().__init__(*words)
        self.then = ""

    @property
    def what(self) -> str:
        """What failed, and what to do."""
        return masked(str(self.args[0]))

    def __str__(self) -> str:
        """The message."""
        return f"{self.what}, then {self.then or 'the same command works'}"


class Unwritable(Trouble):
    """A place that is full, read-only or not permitted.

    Args:
        place: that cannot be used.
        why: in a few words.
        remedy: what to do, as an order.
    """

    def __init__(self, place: str, why: str, remedy: str):
        super().__init__(place, why, remedy)

    @property
    def what(self) -> str:
        """Where, why, and what to do."""
        place, why, remedy = self.args
        return masked(f"{place}: {why}; {remedy}")


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
