"""`study-report SLUG`, or `python -m study.report SLUG`: the command line."""

import argparse
import sys
from pathlib import Path

from study.errors import ConfigError
from study.installation import typed
from study.tracking import uri as place

UNUSABLE = 2


def main(arguments: list[str] | None = None) -> int:
    """Write a page and say where it is."""
    given = _parser().parse_args(arguments)
    from study.report.pages import run as run_page
    from study.report.pages import study as study_page

    folder = given.folder or Path("outputs", given.slug, f"run-{given.run}" if given.run else "report")
    ui = given.ui or place.ui(given.store)
    try:
        if given.run:
            path = run_page.write(given.run, given.store, ui, folder)
        else:
            path = study_page.write(given.slug, given.store, ui, folder)
    except ConfigError as error:
        print(f"There is nothing to report:\n{error}", file=sys.stderr)
        return UNUSABLE
    print(f"The report is in {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="study-report", description="From tracked runs to one page of answers.")
    parser.add_argument("slug", help="of the study, the MLflow experiment")
    parser.add_argument("--run", help="id, start of an id, or name: the page of this run alone")
    address = place.address()
    parser.add_argument("--store", default=address, help=f"MLflow tracking URI; default {address}")
    parser.add_argument(
        "--ui", help=f"address of the MLflow UI that marks open; default the store's own, or {place.UI}"
    )
    parser.add_argument("--folder", type=typed, help="to write into; default within outputs/SLUG")
    return parser


if __name__ == "__main__":
    sys.exit(main())
