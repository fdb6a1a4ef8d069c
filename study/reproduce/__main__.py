"""`study-reproduce RUN [overrides]`, or `python -m study.reproduce`: the command line."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from study.disk import writing
from study.errors import UNUSABLE, ConfigError
from study.reproduce.restore import Restored, restore_run
from study.reproduce.trust import FLAG, Untrusted, code_folder
from study.terminal import add_flag, clean, interruptible, printer, printing, say
from study.tracking import uri as place
from study.tracking.reader import Logged, find

if TYPE_CHECKING:
    from study.reproduce.differences import Difference
    from study.reproduce.rerun import Reproduction

SAME, DIFFERENT = 0, 1


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Rerun logged runs and compare; the exit code says whether every number is the same."""
    given = _parser().parse_intermixed_args(arguments)
    try:
        with writing(), printing(given.json), code_folder(given.trust_code) as folder:
            return _reproduce(given, folder)
    except ConfigError as error:
        say(f"The run cannot be reproduced:\n{error}", sys.stderr)
        return UNUSABLE


def _reproduce(given: argparse.Namespace, folder: Path | None) -> int:
    runs = find(given.store, given.run)
    restored, refused = _restore(runs, given, folder)
    for text in dict.fromkeys(error.show() for _, error in refused if isinstance(error, Untrusted)):
        say(text)
    if not restored:
        raise refused[0][1]
    from study.reproduce.rerun import rerun  # late: nothing heavy is imported for a run that is refused

    console, reproductions = Console(), []
    for number, (run, configuration) in enumerate(restored, 1):
        console.print(
            Text(clean(f"\n{number} of {len(restored)}: {run.name} {run.run_id}"), style="bold"), soft_wrap=True
        )
        reproductions.append(rerun(run, configuration, given.tolerance, partial(_show, run, len(runs) == 1)))
        printer().keep(runs=[one.record for one in reproductions])
        console.print(Text(clean(str(reproductions[-1]))), soft_wrap=True)
    for run, error in refused:
        say(f"{run.name} {run.run_id} cannot be reproduced: {error}", sys.stderr)
    if len(runs) > 1:
        console.print(_total(reproductions, len(refused)), soft_wrap=True)
    return UNUSABLE if refused else SAME if all(one.identical for one in reproductions) else DIFFERENT


def _show(run: Logged, everything: bool, found: "list[Difference]") -> None:
    """Print then and here of a run."""
    from study.reproduce.differences import table

    records = [{"run_id": run.run_id, **difference.record} for difference in found]
    printer().show("circumstances", records, table(found, everything))


def _restore(
    runs: list[Logged], given: argparse.Namespace, folder: Path | None
) -> tuple[list[tuple[Logged, Restored]], list[tuple[Logged, ConfigError]]]:
    """Check the configurations of all runs before any of them is rerun.

    Returns:
        The runs that can be rerun, and those that cannot, with the reason.
    """
    restored, refused = [], []
    for run in runs:
        try:
            restored.append((run, restore_run(run, folder, given.overrides)))
        except ConfigError as error:
            refused.append((run, error))
    return restored, refused


def _total(reproductions: "list[Reproduction]", refused: int) -> str:
    """Write the last line where there are many runs."""
    compared = [one.comparison for one in reproductions if one.comparison is not None]
    same = sum(comparison.identical for comparison in compared)
    equal, total = (sum(getattr(comparison, name) for comparison in compared) for name in ("same", "values"))
    if not compared:
        return f"{len(reproductions)} variations: not compared"
    runs = len(reproductions) + refused
    word = "identical" if same == runs else "different"
    return f"{word}: {same} of {runs} runs, {equal:,} of {total:,} values are the same"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="study-reproduce",
        description="Rerun a logged run and compare every recorded number, bit for bit.",
        epilog="Exit code: 0 all numbers are the same (or it is a variation), 1 some differ, 2 not reproducible.",
    )
    parser.add_argument("run", help="run id, unique start of one, or name; of a sweep, or a slug: all runs of it")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides: they make it a variation, which is not compared")
    add_flag(parser)
    parser.add_argument("--tolerance", type=_tolerance, default=0.0, help="relative; default 0: bit for bit")
    parser.add_argument(FLAG, action="store_true", help="execute code that was logged with the run; without: show it")
    default = place.address()
    parser.add_argument("--store", type=place.address, default=default, help=f"MLflow tracking URI; default {default}")
    return parser


def _tolerance(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a relative tolerance: 0 <= tolerance < 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
