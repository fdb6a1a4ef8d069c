"""What the commands that ask a run have in common: their arguments, their errors, their last lines."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from study.disk import writing
from study.errors import UNUSABLE, ConfigError
from study.installation import typed
from study.reproduce.trust import FLAG, Untrusted
from study.terminal import add_flag, printing, say
from study.tracking.uri import address

if TYPE_CHECKING:
    from study.ask.finding import Finding
    from study.tracking.reader import Logged


def parser(name: str, description: str, several: bool = False) -> argparse.ArgumentParser:
    """A parser with what all of them take.

    Args:
        name: of the command.
        description: what it answers.
        several: whether an experiment can be asked as well.
    """
    found = argparse.ArgumentParser(prog=f"study-{name}", description=description)
    experiment = "; or the slug of an experiment" if several else ""
    found.add_argument("run", help=f"run id, unique start of one, or name{experiment}")
    found.add_argument("--store", type=address, default=address(), help=f"MLflow tracking URI; default {address()}")
    found.add_argument("--folder", type=typed, help="where the page is written; default: a folder in outputs/answers")
    add_flag(found)
    found.add_argument(FLAG, action="store_true", help="execute code that was logged with the run; without: show it")
    return found


def pace(run: "Logged") -> tuple[int, float]:
    """The updates that a run made, and the seconds that each took; NaN where that was not recorded."""
    updates = int(run.measures.get("run/updates", 0))
    return updates, run.measures.get("run/seconds", math.nan) / max(1, updates)


def answered(given: argparse.Namespace, ask: "Callable[[], Finding]") -> int:
    """Ask, keep the answer and print it; return the exit code: 2 where there is no answer."""
    try:
        with writing(), printing(given.json) as printer:
            found = ask()
            kept = found.keep(given.folder)
            printer.keep(**found.record(*kept))
            say(found.closing(*kept))
    except ConfigError as error:
        if isinstance(error, Untrusted):
            say(error.show(), sys.stderr if given.json else sys.stdout)
        say(f"There is no answer:\n{error}", sys.stderr)
        return UNUSABLE
    return 0
