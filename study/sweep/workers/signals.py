"""How a worker hears that it shall leave: by a signal, or by an order in the ledger, which reaches every machine."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from study.sweep.trials.ledger import Ledger

PAUSE = 1.0
"""Seconds between looks into the ledger."""


class Stop:
    """Asked once: finish the update under way, then leave; twice: leave at once.

    Attributes:
        asked: whether to leave.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Remember a signal; the second one interrupts."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def listening(self, ledger: "Ledger") -> Iterator[None]:
        """Listen while in the block; signals, and orders to leave at once, can be heard in a main thread only."""
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

    def _keep_reading(self, ledger: "Ledger", main: bool, done: threading.Event) -> None:
        while not done.wait(PAUSE):
            if self._read(ledger, main):
                return

    def _read(self, ledger: "Ledger", main: bool) -> bool:
        """Look for an order; True if none can follow."""
        with suppress(SQLAlchemyError, StorageInternalError):  # a busy database is asked again
            order = ledger.ordered()
            self.asked |= order is not None
            if main and order == "stop at once":
                os.kill(os.getpid(), signal.SIGINT)
                return True
        return False
