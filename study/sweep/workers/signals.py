"""Stopping a worker: by a signal, or by an order in the ledger, which reaches every machine."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from optuna.trial import Trial

    from study.sweep.trials.ledger import Ledger

PAUSE = 1.0
"""Seconds between two reads of the ledger."""


class GivenUp(SystemExit):
    """Another process took this one for dead, as where its machine was suspended, and makes its run."""


@contextmanager
def giving_up() -> Iterator[None]:
    """Raise `GivenUp` where another process has ended the trial."""
    try:
        yield
    except UpdateFinishedTrialError as error:
        raise GivenUp("another process has taken this one for dead, and makes the run") from error


class Stop:
    """A request to stop: the first lets the update under way finish, the second interrupts it.

    Attributes:
        asked: whether there was one.
        trial: under way, if any.
        given_up: whether another process has given it up for silent, and makes its run.
    """

    def __init__(self) -> None:
        self.asked = self.given_up = False
        self.trial: Trial | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def listening(self, ledger: "Ledger") -> Iterator[None]:
        """Watch for signals and orders while in the block; outside a main thread only for orders to stop."""
        done, main = threading.Event(), threading.current_thread() is threading.main_thread()
        signals = (signal.SIGINT, signal.SIGTERM) if main else ()
        before = {number: signal.signal(number, self) for number in signals}
        self._read(ledger, main)
        reader = threading.Thread(target=self._keep_reading, args=(ledger, main, done), daemon=True)
        reader.start()
        try:
            yield
        finally:
            done.set()
            reader.join()
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def working_on(self, trial: "Trial") -> Iterator[None]:
        """Watch a trial while in the block."""
        self.trial, self.given_up = trial, False
        try:
            yield
        finally:
            self.trial = None

    def _keep_reading(self, ledger: "Ledger", main: bool, done: threading.Event) -> None:
        while not done.wait(PAUSE):
            if self._read(ledger, main):
                return

    def _read(self, ledger: "Ledger", main: bool) -> bool:
        """Read the order to this launch; True if no other can follow."""
        with suppress(SQLAlchemyError, StorageInternalError):  # a busy database is read again later
            trial = self.trial
            if trial is not None and not ledger.holds(trial) and trial is self.trial:  # else it has just ended
                self.given_up = True
            order = ledger.ordered()
            self.asked |= order is not None
            if main and order == "stop at once":
                os.kill(os.getpid(), signal.SIGINT)
                return True
        return False
