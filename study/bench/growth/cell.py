"""`python -m study.bench.growth.cell ROW SIZE`: the costs of one row at one size, as JSON, in the current folder."""

import json
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path

from study.bench.growth import data, store, training

ROWS = training.ROWS | store.ROWS | data.ROWS


def main(row: str, size: str) -> None:
    """Measure and print."""
    warnings.filterwarnings("ignore")
    with redirect_stdout(sys.stderr):
        costs = ROWS[row].measure(Path.cwd(), int(size))
    print(json.dumps(costs))


if __name__ == "__main__":
    main(*sys.argv[1:])
