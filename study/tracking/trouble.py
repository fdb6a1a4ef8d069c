"""Stores in trouble: locked, slow, out of reach. What may pass is tried again; what the store refuses is not."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TypeVar

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import InterfaceError, OperationalError

from study.disk import reason
from study.errors import Trouble
from study.masking import shown

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds without an answer after which a run that has ended, or a worker between two runs, waits no longer."""
AT_ONCE = 10.0
"""Seconds that a command waits which a person has typed, and waits for."""
BRIEF = 5.0
"""Seconds that a server has to answer the first requests of a run; each is made twice."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts; the last is repeated."""
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
WAITING = {TIMEOUT: "60", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""MLflow's own patience with a server, a request; by default it tries for a quarter of an hour, and says nothing."""
PASSING = {
    *("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"),
    *("DEADLINE_EXCEEDED", "IO_ERROR", "CANCELLED", "ABORTED"),
}
"""MLflow's names of what is no refusal."""


def may_pass(error: Exception) -> bool:
    """Whether what a store raised may be over in a while."""
    if isinstance(error, MlflowException):
        return error.error_code in PASSING
    return isinstance(error, OperationalError | InterfaceError | OSError)


def rolled_back(error: Exception) -> bool:
    """Whether a database has surely done nothing of a call, because it was busy."""
    return isinstance(error, MlflowException) and error.error_code == "TEMPORARILY_UNAVAILABLE"


def pauses() -> Iterator[float]:
    """Seconds between attempts, without end."""
    return chain(PAUSES, repeat(PAUSES[-1]))


def patiently(
    call: Callable[[], T],
    uri: str,
    seconds: float = PATIENCE,
    may_repeat: Callable[[Exception], bool] = may_pass,
) -> T:
    """Return what a call to a store gives; it is made again while the store is in trouble.

    Args:
        call: to the store.
        uri: of the store.
        seconds: to wait in all; with 0 it is made once.
        may_repeat: after which errors it may be made twice.

    Raises:
        Trouble: the store is in trouble after all.
        Exception: the store refuses the call.
    """
    end = time.monotonic() + seconds
    for pause in pauses():
        try:
            return call()
        except Exception as error:
            if not may_pass(error):
                raise
            if time.monotonic() + pause > end or not may_repeat(error):
                said = f"the store does not answer ({reason(error)}); see that it does"
                raise Trouble(f"tracking.uri = {shown(uri)!r}: {said}") from error
        time.sleep(pause)
    raise AssertionError


@contextmanager
def briefly() -> Iterator[None]:
    """Wait no longer than seconds for a server in the block, unless the user has set how long."""
    ours = os.environ.get(TIMEOUT, WAITING[TIMEOUT]) == WAITING[TIMEOUT]
    os.environ |= {TIMEOUT: f"{BRIEF:.0f}"} if ours else {}
    try:
        yield
    finally:
        os.environ |= {TIMEOUT: WAITING[TIMEOUT]} if ours else {}


def agreed(write: Callable[[], object]) -> None:
    """Write what other processes may be writing too.

    MLflow looks whether a row is there and then adds it: who adds it second fails, and finds it the next time.
    """
    for left in (2, 1, 0):
        try:
            write()
            return
        except MlflowException as error:
            if not left or "unique" not in str(error).lower():
                raise
