"""Writes to a run, delivered in order by a thread of their own: a store in trouble does not hold up training.

While all is well they wait in memory for milliseconds. From the first trouble on they wait in a file, so that memory
stays bounded and a process that is killed loses nothing.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from study.addresses import sqlite_file
from study.disk import reason, writing
from study.errors import ConfigError, Trouble
from study.installation import about, door
from study.tracking.client import client_of
from study.tracking.database import refuse_other
from study.tracking.spool import Spool, place, whose
from study.tracking.trouble import AT_ONCE, may_pass, patiently, pauses
from study.tracking.writes import Write

MEMORY = 64e6
"""Bytes that may wait in memory for a store that is slow."""
SUSPECTED = 5.0
"""Seconds of trouble after which it is said."""


class Outbox:
    """What one run writes, on its way to the store.

    Args:
        make: writes one thing to the run; may raise anything.
        run_id: of MLflow.
        uri: of the store, without its password.
    """

    def __init__(self, make: Callable[[Write], None], run_id: str, uri: str):
        self._make, self._run_id, self._uri = make, run_id, uri
        self._waiting: deque[Write] = deque()
        self._spool, self._changed = Spool(place(run_id), run_id, uri), threading.Condition()
        self._trouble: Exception | None = None
        self._began = self._worked = time.monotonic()  # the write that waits longest; the last one that was made
        self._closed = self._given_up = self._said = False
        self._thread = threading.Thread(target=self._deliver, daemon=True, name=f"outbox of {run_id}")
        self._thread.start()

    def put(self, write: Write) -> None:
        """Have something written; returns at once.

        Raises:
            Unwritable: the store does not take it, memory is full, and there is no place for a file.
        """
        with self._changed:
            self._waiting.append(write)
            if sum(waiting.size for waiting in self._waiting) > MEMORY:
                with writing(self._spool.file):
                    self._spill()
            elif self._trouble is not None:
                self._try_to_spill()
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait for what was put so far to be written; what takes longer than moments goes into the file."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, SUSPECTED)
            self._try_to_spill()

    def close(self, patience: float) -> None:
        """Wait until everything is written.

        Args:
            patience: seconds without any success after which the rest is left in the file.

        Raises:
            Trouble: naming it.
        """
        with self._changed:
            self._closed, self._worked = True, time.monotonic()
            self._changed.notify_all()
            try:
                while self._first() is not None and self._is_worth_waiting(patience):
                    self._changed.wait(0.5)
            finally:  # also by Ctrl-C
                self._given_up = True
                if left := self._first() is not None:
                    self._leave()
                self._changed.notify_all()
        if left:
            raise self._what_is_left()
        self._thread.join()

    def _is_worth_waiting(self, patience: float) -> bool:
        refused = self._trouble is not None and not may_pass(self._trouble)
        if self._trouble is not None and not refused and not self._said:
            self._said = True
            self._say(f"Waiting up to {patience:.0f} s for the store {self._uri}: {reason(self._trouble)}")
        return not refused and time.monotonic() - self._worked < patience

    def _leave(self) -> None:
        self._try_to_spill()
        if self._spool.file.exists():
            self._spool.let_go()

    def _what_is_left(self) -> Trouble:
        why = f" ({reason(self._trouble)})" if self._trouble else ""
        lies = f"its history, and all else that did not arrive, lies in {self._spool.file}"
        if self._waiting:
            lies = f"nor can that be kept in {self._spool.file}"
        found = Trouble(
            f"Run {self._run_id} has ended, but the store {self._uri} does not take what it wrote{why}; {lies}; "
            "see that the store works"
        )
        found.then = (
            f"`{about('resume', self._run_id)}` makes it again"
            if self._waiting
            else f"`{door('deliver')}` brings it there"
        )
        return found

    def _deliver(self) -> None:
        """Make write after write, the thread's work; one that fails is tried again, before any other."""
        waits = pauses()
        while (write := self._next()) is not None:
            self._began = time.monotonic() if self._trouble is None else self._began
            try:
                self._make(write)
            except Exception as error:
                self._hold(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._given_up, next(waits))
            else:
                waits = pauses()
                self._remove_first()

    def _next(self) -> Write | None:
        """The write to make next, once there is one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._first() is not None)
            return None if self._given_up else self._first()

    def _first(self) -> Write | None:
        return self._spool.first() or (self._waiting[0] if self._waiting else None)

    def _remove_first(self) -> None:
        """Forget the write that was just made."""
        with self._changed:
            if self._given_up:
                return
            if self._spool.first() is not None:
                self._spool.remove_first()
            else:
                self._waiting.popleft()
            self._trouble, self._worked = None, time.monotonic()
            if self._said:
                self._say(f"The store {self._uri} takes values again")
                self._said = False
            self._changed.notify_all()

    def _hold(self, error: Exception) -> None:
        """Keep what waits in the file, and say so when it goes on for a while."""
        with self._changed:
            if self._given_up:
                return
            self._trouble = error
            self._try_to_spill()
            if not self._said and time.monotonic() - self._began > SUSPECTED:
                self._said = True
                self._say(
                    f"The store {self._uri} takes no values ({reason(error)}). Training goes on; they wait in "
                    f"{self._spool.file}"
                )
            self._changed.notify_all()

    def _try_to_spill(self) -> None:
        with suppress(OSError):  # it stays in memory
            self._spill()

    def _spill(self) -> None:
        """Move what waits in memory to the end of the file."""
        if self._waiting:
            self._spool.append(self._waiting)
            self._waiting.clear()

    def _say(self, words: str) -> None:
        print(f"{words}.", file=sys.stderr)


def deliver(file: Path, patience: float = AT_ONCE) -> int:
    """Deliver what a run left in a file, and remove it; return how many writes were made.

    A run that has finished since has all that the file could give it.

    Raises:
        ConfigError: it is no such file, or a process is at work with it, or the store does not take it.
    """
    run_id, uri = whose(file)
    spool, made = Spool(file, run_id, uri), 0
    spool.hold()
    try:
        if (store := sqlite_file(uri)) is not None and not store.is_file():
            raise ConfigError(f"{file}: its run is of the store {uri}, which is not here; the file stays")
        refuse_other(uri)
        client = client_of(uri)
        finished = patiently(lambda: client.get_run(run_id), uri, patience).info.status == "FINISHED"
        while not finished and (write := spool.first()) is not None:
            patiently(partial(write.make, client, run_id), uri, patience)
            spool.remove_first()
            made += 1
        if not made:  # all of it is there, or a process was killed before it had written a line
            spool.remove()
    except ConfigError:
        raise
    except Exception as error:  # by MLflow, or of a file that is damaged
        raise ConfigError(f"{file}: {uri} does not take it: {reason(error)}; the file stays") from error
    finally:
        spool.let_go()
    return made
