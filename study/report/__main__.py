"""`python -m study.report SLUG`: the command line."""

import argparse
import os
import sys
from pathlib import Path

from study.errors import ConfigError
from study.ui import STORE

UNUSABLE = 2
UI = "http://127.0.0.1:5000"
"""Where `make ui` answers."""


def main(arguments: list[str] | None = None) -> int:
    """Write a page and say where it is."""
    given = _parser().parse_args(arguments)
    from study.report.study_page import write

    ui = given.ui or (given.store if given.store.startswith("http") else UI)
    try:
        path = write(given.slug, given.store, ui, given.folder or Path("outputs", given.slug, "report"))
    except ConfigError as error:
        print(f"There is nothing to report:\n{error}", file=sys.stderr)
        return UNUSABLE
    print(f"The report is in {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m study.report", description="From tracked runs to one page of answers."
    )
    parser.add_argument("slug", help="of the study, the MLflow experiment")
    store = os.environ.get("MLFLOW_TRACKING_URI", STORE)
    parser.add_argument("--store", default=store, help=f"MLflow tracking URI; default {store}")
    parser.add_argument("--ui", help=f"address of the MLflow UI that marks open; default the store's own, or {UI}")
    parser.add_argument("--folder", type=Path, help="to write into; default outputs/SLUG/report")
    return parser


if __name__ == "__main__":
    sys.exit(main())
