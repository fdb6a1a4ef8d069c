"""`python -m study.bench.reliability`: faults, how often each was tried, and what was lost.

Every row runs by itself, in a folder of its own: `python -m study.bench.reliability NAME`.
"""

import argparse
import tempfile
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from study.bench.reliability import SUBJECTS
from study.bench.reliability.contract import Fault
from study.terminal import printer, table, takes_json

COLUMNS = {"fault": "{about}", "tried": "{tried}", "lost": "{lost}", "seen": "{seen}", "row": "{name}"}


def faults() -> dict[str, Fault]:
    """All faults, by name."""
    modules = [import_module(f"study.bench.reliability.{subject}") for subject in SUBJECTS]
    return {fault.name: fault for module in modules for fault in module.FAULTS}


def record(fault: Fault, seeds: int) -> dict[str, object]:
    """One row: the fault, what was tried and lost, the seconds it took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tally = fault.run(Path(folder), seeds)
    return {"name": fault.name, "about": fault.about, **asdict(tally), "seconds": time.perf_counter() - start}


@takes_json
def main() -> None:
    """Run the rows and print the table."""
    known = faults()
    parser = argparse.ArgumentParser(prog="python -m study.bench.reliability", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows; default all of {', '.join(known)}")
    parser.add_argument("--seeds", type=int, default=20, help="times that a fault at a random moment is tried")
    given = parser.parse_args()
    if unknown := set(given.names) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: no row; there are {', '.join(known)}")
    records = [record(known[name], given.seeds) for name in given.names or known]
    printer().show("faults", records, table(records, COLUMNS))


if __name__ == "__main__":
    main()
