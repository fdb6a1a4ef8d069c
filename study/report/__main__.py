"""Write the report of a study, or the page of one run: `study-report SLUG`, `study-report --run RUN`."""

import argparse
import sys
from pathlib import Path

from study.disk import writing
from study.errors import UNUSABLE, ConfigError
from study.installation import typed
from study.report import FORMATS
from study.terminal import interruptible, say
from study.tracking import uri


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Write a page and print its path; return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.slug is None and given.run is None:
        parser.error("the slug of a study is needed, or --run with the id, start of an id, or name of a run")
    try:
        path = _of_study(given) if given.run is None else _of_run(given)
    except ConfigError as error:
        say(f"There is no report:\n{error}", sys.stderr)
        return UNUSABLE
    say(f"The report is in {path}")
    return 0


def _of_study(given: argparse.Namespace) -> Path:
    from study.report.data.table_files import stem
    from study.report.pages import study as page

    folder = given.folder or Path("outputs", stem(given.slug), "report")
    with writing(folder):
        return page.write(given.slug, given.store, _ui(given), folder, given.formats, given.keep)


def _of_run(given: argparse.Namespace) -> Path:
    from study.report.data.table_files import stem
    from study.report.pages import run as page
    from study.tracking.reader import find_one

    run = find_one(given.store, given.run)
    if given.slug not in (None, run.slug):
        raise ConfigError(f"run {run.run_id} is of experiment {run.slug!r}, not of {given.slug!r}")
    folder = given.folder or Path("outputs", stem(run.slug), stem(f"run-{run.run_id}"))
    with writing(folder):
        return page.write(run, _ui(given), folder, given.formats, given.keep)


def _ui(given: argparse.Namespace) -> str:
    """Address of the MLflow UI."""
    return given.ui or uri.ui(given.store)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="study-report", description="Write one page that answers a study from its tracked runs."
    )
    parser.add_argument("slug", nargs="?", help="name of the study: its MLflow experiment")
    parser.add_argument("--run", help="id, start of an id, or name of a run: write the page of this run instead")
    default = uri.address()
    parser.add_argument("--store", type=uri.address, default=default, help=f"MLflow tracking URI; default {default}")
    parser.add_argument("--keep", action="store_true", help="also log the page to the sweep, or run, in the store")
    parser.add_argument("--ui", help=f"address of the MLflow UI that links open; default the store's own, or {uri.UI}")
    parser.add_argument("--folder", type=typed, help="to write into; default: a folder within outputs/SLUG")
    parser.add_argument(
        "--formats", nargs="+", default=[], choices=list(FORMATS), help="of figures, besides SVG: png (300 dpi), pdf"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
