"""The results committed under `experiments/`, trained again: `make experiments-check [ARGS="tour"]`.

Of every `results.csv` the quickest run that counts is trained once more, by the overrides in its row, and its row in a
report of its own is compared with the committed one, digit by digit.
"""

import argparse
import logging
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra import compose, initialize_config_dir
from rich.console import Console

from study.command.arguments import budgets_in_files, settled
from study.command.messages import explained
from study.errors import UNUSABLE, ConfigError, nearest
from study.installation import CHECKOUT, CONF
from study.report import RESULTS
from study.report.spreadsheet import read_texts
from study.schema import Config, validate
from study.terminal import interruptible

SAME, DIFFERENT = 0, 1
COMPARED = ("outcome", "verdict", "clipping", "updates", "steps", "decay", "horizon", "lyapunov", "value", "validation",
           "baseline", "clipped", "norm_median", "norm_peak")  # fmt: skip
"""Columns of `results.csv` that a run of the same bits has the same texts in."""
CIRCUMSTANCES = ("commit", "versions", "cpu")
NEEDED = ("overrides", *CIRCUMSTANCES, "counts", "value", "seconds")
Row = dict[str, str]
"""A row of a `results.csv` as it stands there, by column."""


class RowComparison(NamedTuple):
    """One committed row, and the row of the same run made here."""

    slug: str
    then: Row
    here: Row

    @property
    def differing(self) -> list[str]:
        """The results that are not the same text."""
        return [name for name in COMPARED if self.then.get(name, "") != self.here[name]]

    def __str__(self) -> str:
        """Return one line: what was compared, or what differs and which circumstances do too."""
        run = f"{self.slug}, {self.then['arm']}, seed {self.then['seed']}"
        if not self.differing:
            return (
                f"{run}: identical, {self.then['measure']} {self.then['value'] or '-'} and {len(COMPARED) - 1} others"
            )
        other = [key for key in CIRCUMSTANCES if self.then[key] != self.here[key]]
        return f"{run}: different: {self._both(self.differing)}. " + (
            f"Other than then: {self._both(other)}" if other else "Commit, versions and CPU are the same as then"
        )

    def _both(self, keys: Sequence[str]) -> str:
        return "; ".join(f"{key} {self.then.get(key) or '-'} then, {self.here[key] or '-'} here" for key in keys)


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Train one run of every committed experiment again and compare; the exit code says whether all are the same."""
    given = _parser().parse_args(arguments)
    try:
        rows = [(slug, quickest(given.folder / slug / RESULTS)) for slug in chosen(given.folder, given.slugs)]
        configs = [configuration(slug, row) for slug, row in rows]  # all of them before any is trained
    except ConfigError as error:
        print(f"The experiments cannot be checked:\n{error}", file=sys.stderr)
        return UNUSABLE
    checks = []
    for number, ((slug, row), config) in enumerate(zip(rows, configs, strict=True), 1):
        print(f"{number} of {len(rows)}: {slug}, {row['arm']}, seed {row['seed']}: some {row['seconds']} s", flush=True)
        checks.append(RowComparison(slug, row, make_again(config, shlex.split(row["overrides"]))))
        Console().print(str(checks[-1]), soft_wrap=True, markup=False, highlight=False)
    same = sum(not check.differing for check in checks)
    print(f"{same} of {len(checks)} experiments gave the committed numbers")
    return SAME if same == len(checks) else DIFFERENT


def read(file: Path) -> list[Row]:
    """Read the rows of a `results.csv`.

    Raises:
        ConfigError: there is no such file, or it does not say how its runs are made again.
    """
    if not file.is_file():
        raise ConfigError(f"{file}: no such file; `make report` writes one")
    rows = read_texts(file)
    if lacking := [name for name in NEEDED if name not in (rows or [{}])[0]]:
        raise ConfigError(f"{file}: no column {', '.join(lacking)}; make the experiment again with this version")
    return rows


def quickest(file: Path) -> Row:
    """The row that counts, has a value, says what was typed and took the fewest seconds."""
    counted = [row for row in read(file) if row["counts"] == "True" and row["value"] and row["overrides"]]
    if not counted:
        raise ConfigError(f"{file}: no row that counts has a value and says what was typed (column overrides)")
    return min(counted, key=lambda row: float(row["seconds"]))


def configuration(slug: str, row: Row) -> Config:
    """The configuration of a row, by its overrides and the `conf/` of today.

    Raises:
        ConfigError: it cannot be composed or is not valid any more.
    """
    try:
        with explained(), initialize_config_dir(str(CONF), version_base="1.3"):
            typed = shlex.split(row["overrides"])
            overrides = settled(typed, budgets_in_files(typed))
            return validate(compose("train", [*overrides, "trainer.progress_bar=false"]))
    except ConfigError as error:
        raise ConfigError(f"{slug}, overrides {row['overrides']}: {error}") from error


def make_again(config: Config, overrides: Sequence[str]) -> Row:
    """Train a run in a store of its own; return its row of the report."""
    from study.report.data.histories import load_norms  # late: a wrong name is answered at once
    from study.report.data.results import results, write_table
    from study.report.data.runs import gather
    from study.train import train

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every new store
    with tempfile.TemporaryDirectory() as folder:
        tracking = config.tracking.model_copy(update={"uri": f"sqlite:///{folder}/mlflow.db"})
        train(config.model_copy(update={"tracking": tracking}), overrides)
        evidence = gather(tracking.uri, config.slug)
        loaded = {str(run): load_norms(logged) for run, logged in evidence.runs["logged"].items()}
        table = results(evidence, {run: norms for run, norms in loaded.items() if norms is not None})
        return read(write_table(table, Path(folder)))[0]


def chosen(folder: Path, wanted: Sequence[str], file: str = RESULTS) -> Sequence[str]:
    """The experiments that are wanted, all of them if none is named.

    Args:
        folder: of the experiments.
        wanted: their names.
        file: that each of them has.

    Raises:
        ConfigError: there is no such experiment, or none at all.
    """
    known = sorted(found.parent.name for found in folder.glob(f"*/{file}"))
    if not known:
        raise ConfigError(f"{folder}: no folder with a {file} in it")
    for slug in wanted:
        if slug not in known:
            raise ConfigError(f"{slug!r}: no such experiment{nearest(slug, known)} (there are: {', '.join(known)})")
    return wanted or known


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the option `--folder`, where the experiments lie; outside a clone it has to be given."""
    default = CHECKOUT / "experiments" if CHECKOUT else None
    parser.add_argument("--folder", type=Path, default=default, required=default is None, help="of the experiments")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m study.reproduce.experiments",
        description="Train the quickest run of every committed experiment again and compare it with results.csv.",
        epilog="Exit code: 0 all numbers are the same, 1 some differ, 2 a file or a name cannot be used.",
    )
    parser.add_argument("slugs", nargs="*", help="experiments; default: all")
    add_folder(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
