"""Addresses of databases and servers, and their passwords, kept apart.

Configurations, records, errors and everything printed have `postgresql://me:***@db/x`. The whole address is in the
environment of the process, which the processes it starts get too, and is asked for where something connects. So there
is nothing to leave out anywhere else.
"""

import os
import re
import sys
from pathlib import Path
from types import TracebackType

from study.errors import ConfigError
from study.masking import HIDDEN, KEPT, masked, shown

ADDRESS = re.compile(r"""[A-Za-z][\w+.-]*://[^\s'"]+""")
DATABASE = "postgresql+psycopg://"
"""What `conf/sweep/shared.yaml` puts before STUDY_DATABASE."""


def keep(text: str) -> str:
    """Return an address, or a text with addresses in it, without passwords; `whole` brings them back."""
    return ADDRESS.sub(lambda found: _keep(found.group()), text)


def _keep(address: str) -> str:
    if (seen := shown(address)) != address:
        others = [line for line in os.environ.get(KEPT, "").splitlines() if shown(line) != seen]
        os.environ[KEPT] = "\n".join([*others, address])
        _guard_tracebacks()
    return seen


def whole(address: str) -> str:
    """Return an address as it is opened, with the password that was left out of it.

    It is the one that was typed, or that of an environment variable whose address is the same otherwise.

    Raises:
        ConfigError: nothing that this process knows has it.
    """
    if HIDDEN not in address:
        return address
    known = [*os.environ.get(KEPT, "").splitlines(), *os.environ.values(), *map(DATABASE.__add__, os.environ.values())]
    if (found := next((one for one in known if one != address and shown(one) == address), None)) is None:
        raise ConfigError(
            f"{address}: its password is kept nowhere, and is needed again: give the whole address in an environment "
            "variable, MLFLOW_TRACKING_URI (runs) or OPTUNA_STORAGE (trials)"
        )
    _guard_tracebacks()
    return found


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None of any other, and of one that lies in no file."""
    place = url.removeprefix("sqlite:///").partition("?")[0]
    named = place not in ("", ":memory:") and not place.startswith("file:")
    return Path(place) if url.startswith("sqlite:///") and named else None


def _guard_tracebacks() -> None:
    """Mask what an uncaught error prints, in a process that knows a password."""
    if getattr(sys.excepthook, "guards", False):
        return
    before = sys.excepthook

    def guarded(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        import traceback

        text = "".join(traceback.format_exception(kind, error, trace))
        if (safe := masked(text)) == text:
            before(kind, error, trace)
        else:
            print(safe, end="", file=sys.stderr)

    guarded.guards = True  # type: ignore[attr-defined]
    sys.excepthook = guarded
