"""`python -m study.reproduce RUN [overrides]`: the command line."""

import argparse
import sys

from rich.console import Console

from study import store
from study.errors import ConfigError
from study.reproduce.restore import restore
from study.tracked import find

SAME, DIFFERENT, UNUSABLE = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Make logged runs again and compare; the exit code says whether every number is the same."""
    given = _parser().parse_intermixed_args(arguments)
    try:
        return _reproduce(given)
    except ConfigError as error:
        print(f"The run cannot be made again:\n{error}", file=sys.stderr)
        return UNUSABLE


def _reproduce(given: argparse.Namespace) -> int:
    console = Console()
    runs = find(given.store, given.run)
    restored = [restore(run.read("definition/config.yaml"), given.store, given.overrides) for run in runs]
    from study.reproduce.again import again  # only now: nothing heavy is imported for a run that is refused
    from study.reproduce.differences import table

    comparisons = []
    for number, (run, configuration) in enumerate(zip(runs, restored, strict=True), 1):
        console.rule(f"{number} of {len(runs)}: {run.name} {run.run_id}")
        made = again(run, configuration, given.overrides, given.tolerance, lambda found: console.print(table(found)))
        comparisons += [made.comparison] if made.comparison else []
        console.print(f"{made.comparison or made.summary}\nThe new run is {made.run_id}.", highlight=False)
    if len(comparisons) > 1:
        same = sum(comparison.identical for comparison in comparisons)
        values = [(comparison.same, comparison.values) for comparison in comparisons]
        equal, total = map(sum, zip(*values, strict=True))
        console.print(f"identical: {same} of {len(comparisons)} runs, {equal:,} of {total:,} values")
    return SAME if all(comparison.identical for comparison in comparisons) else DIFFERENT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m study.reproduce",
        description="Make a logged run again and compare every recorded number, bit for bit.",
        epilog="Exit code: 0 all numbers are the same (or a variation was made), 1 some are not, 2 it cannot be made.",
    )
    parser.add_argument("run", help="run id, unique start of one, or name; of a sweep, or a slug: all runs of it")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides: makes a variation, which is not compared")
    parser.add_argument("--tolerance", type=float, default=0.0, help="relative; default 0: bit for bit")
    address = store.address()
    parser.add_argument("--store", default=address, help=f"MLflow tracking URI; default {address}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
