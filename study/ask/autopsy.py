"""`study-autopsy RUN [--update N]`: what carried the gradient of one update of a run, and what its step did."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from study.ask import command
from study.installation import about
from study.reproduce.trust import code_folder
from study.terminal import interruptible

if TYPE_CHECKING:
    from study.analysis.autopsy import Autopsy
    from study.ask.finding import Finding
    from study.tracking.reader import Logged

LIMITS = (
    "One update of one run: what carried this gradient, not why it had grown, and not what would have prevented it; a "
    "fork from before it tests that. Shares by lag are of the network without dropout, regularizer and random weights; "
    "where its gradient is not the one that was made, their cosine is named. Sharpness, flow and the other probes are "
    "those of full BPTT on the batch of this update, from the initial state, where training may cut gradients off "
    "earlier and start from a carried state; one batch is sharper than all data."
)
THIRD = 3
"""A fork that is proposed makes steps so much shorter."""


def autopsy(run: "Logged", update: int | None = None, folder: Path | None = None) -> "Autopsy":
    """Make an update of a run once more, and take it apart.

    Args:
        run: that has ended; it stays as it was.
        update: from 1; None: where it diverged, else the largest leap of the gradient norm over its level.
        folder: where code that was logged with the run is put; None: it is not trusted.

    Raises:
        ConfigError: the run has no such update, or this machine does not compute what the run computed.
    """
    from study.ask.examination import examine
    from study.reproduce.restore import restore_run

    return examine(run, restore_run(run, folder), update)


def find_out(wanted: str, update: int | None, store: str, folder: Path | None = None) -> "Finding":
    """Take an update apart, and put what was found on a page.

    Args:
        wanted: the run's id, the start of it, or its name.
        update: see `autopsy`.
        store: MLflow tracking URI.
        folder: see `autopsy`.

    Raises:
        ConfigError: see `autopsy`.
    """
    from study.ask.finding import Finding
    from study.report.pages.autopsy import sections
    from study.reproduce.compare import history
    from study.tracking.reader import find_one

    run = find_one(store, wanted)
    found = autopsy(run, update, folder)
    tables = {"sequences": found.sequences, "lags": found.lags, "parameters": found.parameters, "probes": found.probes}
    shown = sections(found, history(run))
    tags = {"update": str(found.chosen.update)}
    return Finding("autopsy", [run], found.sentence, LIMITS, shown, tables, _next(run, found), tags)


def _next(run: "Logged", found: "Autopsy") -> tuple[str, str]:
    """Where it began; else a fork that tests whether the length of this step decided what followed.

    None where nothing stands out, and before the first batch.
    """
    chosen = found.chosen
    if chosen.why == "diverged" and 1 < chosen.risen < chosen.update:
        purpose = f"The loss had risen by update {chosen.risen:,}; to take the step before that apart"
        return about("autopsy", run.run_id, update=chosen.risen - 1), purpose
    if chosen.why == "largest" or not (found.place and chosen.finite):
        return "", ""
    slower = f"optimizer.lr={float(run.params['optimizer.lr']) / THIRD:.3g}"  # of which a schedule makes each rate
    forked = about("fork", run.run_id, slower, at=found.place)
    return forked, f"To test whether the length of its step decided what followed: from update {found.place:,} on"


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Take an update apart from the command line."""
    parser = command.parser("autopsy", "Say what carried the gradient of one update of a run, and what its step did.")
    chosen = "default: where the run diverged, else the largest leap of the gradient norm over its level"
    parser.add_argument("--update", type=int, help=f"which update; {chosen}")
    given = parser.parse_args(arguments)

    def ask() -> "Finding":
        with code_folder(given.trust_code) as folder:
            return find_out(given.run, given.update, given.store, folder)

    return command.answered(given, ask)


if __name__ == "__main__":
    sys.exit(main())
