"""`python -m study.bench.growth`: what things cost as they grow, with the exponent of the growth.

The slope is that of the logarithm of a cost over the logarithm of the size: 0 is flat, 1 proportional. Every size is
measured in a process of its own, one after another. CPU seconds: other work on the machine hardly changes them; what is
given a second is of the wall clock. "MB more" is by how much the largest size of the process grows beyond what it has
when everything is imported and a small one is done.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from study.bench.growth.cell import ROWS
from study.bench.growth.contract import Costs
from study.terminal import printer, table, takes_json

COLUMNS = {"what grows": "{about}", "cost": "{cost}", "size: cost": "{costs}", "slope": "{slope:.2f}"}


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m study.bench.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--sizes", nargs="*", type=int, help="of every row, from the smallest; default: its own")
    parser.add_argument("--largest", type=int, default=sys.maxsize, help="leaves out larger sizes")
    given = parser.parse_args()
    records = []
    for row in given.rows:
        sizes = [size for size in given.sizes or ROWS[row].sizes if size <= given.largest]
        with tempfile.TemporaryDirectory() as folder:
            costs = {size: _measured(row, size, Path(folder)) for size in sizes}
        records += _records(row, costs)
    printer().show("growth", records, table(records, COLUMNS, title="Costs against sizes"))


def _measured(row: str, size: int, folder: Path) -> Costs:
    """The costs at one size, in a process of its own; what it says goes to where this one complains."""
    command = [sys.executable, "-m", "study.bench.growth.cell", row, str(size)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def _records(row: str, costs: dict[int, Costs]) -> list[dict[str, Any]]:
    """A record a cost."""
    names = list(next(iter(costs.values()), {}))
    return [
        {
            "row": row,
            "about": ROWS[row].about,
            "cost": name,
            "sizes": list(costs),
            "values": (values := [found[name] for found in costs.values()]),
            "costs": ", ".join(f"{size:,}: {value:.3g}" for size, value in zip(costs, values, strict=True)),
            "slope": slope(list(costs), values),
        }
        for name in names
    ]


def slope(sizes: Sequence[int], costs: Sequence[float]) -> float | None:
    """The exponent of a cost over the size, by least squares; None where there are not two sizes or a cost is none."""
    if len(sizes) < 2 or not all(cost > 0 and math.isfinite(cost) for cost in costs):
        return None
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


if __name__ == "__main__":
    main()
