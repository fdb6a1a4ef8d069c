"""Writes that wait in a file for a store that does not take them: a line each, in order, after a line that says whose.

The file is there as long as something waits in it. A process that was killed leaves it, for `study.deliver`.
"""

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from study.disk import writing
from study.errors import ConfigError
from study.tracking.writes import Write

FOLDER = Path("outputs/undelivered")
"""Where these files lie."""


class Spool:
    """The file of one run; whoever works with it holds its lock.

    Args:
        file: see `place`; what lies in it already comes first.
        run_id: of MLflow.
        uri: of the store; without its password.

    Attributes:
        file: where it lies.
    """

    def __init__(self, file: Path, run_id: str, uri: str):
        self.file, self._head = file.absolute(), json.dumps({"run_id": run_id, "uri": uri}).encode() + b"\n"
        self._lock = FileLock(self.file.with_suffix(".lock"), thread_local=False)  # one thread fills it, one empties it
        self._read = len(self._head)

    def append(self, writes: Iterable[Write]) -> None:
        """Add writes at the end, all of them or none.

        Raises:
            OSError: the file cannot be written.
        """
        if not self._lock.is_locked:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        before = self.file.stat().st_size if self.file.exists() else 0
        if not before:
            self._read = len(self._head)
        try:
            with self.file.open("ab") as file:
                file.write(b"".join([b"" if before else self._head, *(write.line() for write in writes)]))
        except OSError:  # it is closed by now: nothing follows from its buffer
            with suppress(OSError):
                os.truncate(self.file, before) if before else self.file.unlink()
            raise

    def first(self) -> Write | None:
        """The write that waits longest, if any does."""
        line = self._line()
        return Write.read(line) if line else None

    def remove_first(self) -> None:
        """Take the longest waiting one for made; after the last the file is removed."""
        self._read += len(self._line())
        if not self._line():
            self.remove()

    def _line(self) -> bytes:
        """The next line; empty where there is none, or a half of one, by a process that was killed."""
        if not self._lock.is_locked or not self.file.exists():
            return b""
        with self.file.open("rb") as file:
            file.seek(self._read)
            line = file.readline()
        return line if line.endswith(b"\n") else b""

    def remove(self) -> None:
        """Remove the file."""
        self.file.unlink(missing_ok=True)
        self._read = len(self._head)
        self.let_go()

    def hold(self) -> None:
        """Keep other processes from the file.

        Raises:
            ConfigError: another one holds it, or its folder cannot be written.
        """
        try:
            with writing(self.file):
                self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"{self.file}: a process is at work with it; wait for its end") from None

    def let_go(self) -> None:
        """Let other processes have the file."""
        if self._lock.is_locked:
            with suppress(OSError):
                Path(self._lock.lock_file).unlink()  # still held: whoever waits for it sees that it is gone
            self._lock.release()


def place(run_id: str) -> Path:
    """The file of a run."""
    return FOLDER / f"{run_id}.jsonl"


def whose(file: Path) -> tuple[str, str]:
    """The run id and the store's address that a file of waiting writes is for.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        with file.open("rb") as opened:
            head = json.loads(opened.readline())
        if not re.fullmatch("[0-9a-f]{32}", head["run_id"]):
            raise ValueError(f"run_id = {head['run_id']!r}")
        return head["run_id"], str(head["uri"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: it holds nothing that a run left to be delivered: {error}") from error
