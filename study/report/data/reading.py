"""A page from what others recorded: what cannot be read or drawn is said in a note, and all the rest is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from study.errors import ConfigError

Made = TypeVar("Made")
DAMAGED = (ConfigError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What it takes to fail on numbers and texts that others wrote."""
_notes: ContextVar[dict[str, None] | None] = ContextVar("notes", default=None)
"""What the page that is being made has to say; None: no page is."""


@contextmanager
def noting() -> Iterator[dict[str, None]]:
    """Collect what cannot be read or drawn as long as the block runs; the keys are sentences, in their order."""
    found: dict[str, None] = {}
    token = _notes.set(found)
    try:
        yield found
    finally:
        _notes.reset(token)


def note(sentence: str) -> None:
    """Say something on the page that is being made, if one is."""
    if (notes := _notes.get()) is not None:
        notes[sentence] = None


def tried(what: str, make: Callable[[], Made]) -> Made | None:
    """A part of a page; None where what was recorded lets it fail: a note names it then, and other parts are made."""
    if _notes.get() is None:
        return make()
    try:
        return make()
    except DAMAGED as error:
        note(f"{what} is left out: {error or type(error).__name__}.")
        return None
