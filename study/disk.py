"""Places that cannot be written: full, read-only, not permitted. One sentence says which, why, and what to do.

Such an error says nothing of a configuration or of a network, and libraries report it in many ways: as errors of the
system with a file's name or without one, as errors of SQLite wrapped in those of SQLAlchemy, MLflow or Optuna. So it is
looked for in the whole chain of causes, in one place: `writing`.
"""

import errno
import os
import shutil
import sqlite3
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from study.errors import SHOWN, ConfigError, Trouble, Unwritable

OUTPUTS = Path("outputs")
"""Where commands write, if they say nothing else."""
ROOM = 1 << 20
"""Bytes: a disk with less is full, a new database alone needs more."""
MAKE_ROOM, ALLOW, MOVE = "make room there", "make it writable, or choose another place", "move that away"
NO_SPACE = "no space is left on this disk", MAKE_ROOM
READ_ONLY = "it may only be read", ALLOW
NO_PERMISSION = "this user has no permission", ALLOW
NO_FOLDER = "a file is where a folder is needed", MOVE
BROKEN = "the disk reports an error", "check the disk"
WORDS = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: ("the quota of disk space is used up", MAKE_ROOM),
    errno.EFBIG: ("a file may not become larger", "raise the limit (ulimit -f)"),
    errno.EROFS: READ_ONLY,
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.ENOTDIR: NO_FOLDER,
    errno.EEXIST: NO_FOLDER,
    errno.EISDIR: ("a folder is where a file is needed", MOVE),
    errno.EIO: BROKEN,
}
"""What the numbers of the system mean, and what to do."""
OF_SQLITE = {
    sqlite3.SQLITE_FULL: NO_SPACE,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: NO_PERMISSION,
    sqlite3.SQLITE_CANTOPEN: ("it, or a file that SQLite needs beside it, cannot be opened", ALLOW),
    sqlite3.SQLITE_IOERR: BROKEN,
}
"""The same of SQLite's numbers."""
NO_TEMPORARY = "no folder for temporary files can be written", "set TMPDIR to one"
PART, SQLITE = ".part", "sqlite:///"


@contextmanager
def writing(*places: Path | str) -> Iterator[None]:
    """Explain what keeps the block from writing; what was copied there in part is removed.

    Args:
        places: files, folders or addresses of SQLite databases, for errors that name no file.

    Raises:
        Unwritable: in place of the error.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, ConfigError) and (found := _cause(error)) is not None:
            _remove_torn_copy(found)
            raise Unwritable(_place(found, places), *_words(found)) from error
        raise


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Give the name of a file to write in the block, which then takes the place of `file`, whole or not at all.

    Raises:
        Unwritable: see `writing`.
    """
    part = file.with_name(f"{file.name}{PART}")
    with writing(file):
        try:
            yield part
            os.replace(part, file)  # atomic: a kill at any moment leaves the old file or the new one
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def refuse_unwritable(folder: Path) -> None:
    """Refuse a folder in which no file could be made, before work that would be lost; it leaves nothing there.

    Raises:
        Unwritable: saying what is in the way.
    """
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    with writing():
        try:
            with tempfile.TemporaryFile(dir=above) as tried:
                tried.write(bytes(ROOM))
        except OSError as error:
            error.filename = str(above)  # in place of a name that was drawn
            raise


def reason(error: BaseException) -> str:
    """What keeps something from being written, in a few words; of another error one line of some length.

    There may be SQL in it, with all its values, or what a library wrapped around the words that matter.
    """
    if isinstance(error, Trouble):
        return error.what
    if (found := _cause(error)) is not None:
        return _words(found)[0]
    lines = str(error).strip().splitlines()
    said = lines[0].rpartition("(Caused by ")[2] if lines else type(error).__name__
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}..."


def _cause(error: BaseException | None) -> BaseException | None:
    """The first error of a place in a chain of causes; None where there is none."""
    while error is not None and not _words(error):
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return error


def _words(error: BaseException) -> tuple[str, ...]:
    """Why a place cannot be written, and what to do; empty for any other error."""
    if isinstance(error, sqlite3.Error):
        return OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, ())
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        return NO_TEMPORARY
    if isinstance(error, PermissionError) and error.filename is None:
        return ()  # of a socket or a process: a file has a name
    return WORDS.get(error.errno or 0, ()) if isinstance(error, OSError) else ()


def _place(error: BaseException, places: tuple[Path | str, ...]) -> str:
    """The file that an error names; else of the places and the folder for temporary files the first that it fits."""
    named = (error.filename2 or error.filename) if isinstance(error, OSError) else None
    if isinstance(named, str):
        return named.removesuffix(PART)
    known = [str(place).removeprefix(SQLITE) for place in places or (OUTPUTS, Path.cwd())]
    known = [place for place in known if "://" not in place]  # a server says by itself what is wrong there
    if tempfile.tempdir and not isinstance(error, sqlite3.Error):
        known.append(tempfile.tempdir)
    fitting = (place for place in known if _fits(place, MAKE_ROOM in _words(error)))
    return next(fitting, " or ".join(known or map(str, places)))


def _fits(place: str, full: bool) -> bool:
    """Whether a place is `full`, or may only be read, now."""
    file = Path(place)
    above = next((folder for folder in (file, *file.absolute().parents) if folder.exists()), file)
    if full:
        return shutil.disk_usage(above).free < ROOM
    beside = above if above.is_dir() else above.absolute().parent  # where SQLite makes a journal
    return not os.access(above, os.W_OK) or not os.access(beside, os.W_OK)


def _remove_torn_copy(error: BaseException) -> None:
    """Remove the part of a file that `shutil` had copied when the disk was full."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    copying = any(frame.filename == shutil.__file__ and frame.name.startswith("_fastcopy") for frame in last)
    if copying and isinstance(error, OSError) and isinstance(error.filename2, str):
        with suppress(OSError):
            Path(error.filename2).unlink(missing_ok=True)
