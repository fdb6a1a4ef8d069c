"""`python -m study.bench`: speed of a full run and of Lightning's usual logging, as ratios of a bare loop's speed.

Every case runs its contestants in turn, five times; ratios are of medians. A ratio of 1 costs nothing. Processor time
stands beside wall time: it also means something on a busy machine.
"""

import argparse
import logging
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from study.bench.commands import Spent
from study.bench.composed import composed
from study.bench.contestants import bare, full, measure, usual
from study.schema import Config
from study.terminal import printer, table, takes_json

CASES = {
    "Elman-64, batch 32 x 50": ["task=language_bible_char", "model=elman", "model.hidden_size=64"],
    "GRU-32, batch 32 x 50": ["task=language_bible_char", "model=gru", "model.hidden_size=32"],
    "GRU-64, batch 32 x 50": ["task=language_bible_char", "model=gru", "model.hidden_size=64"],
    "LSTM-32, batch 32 x 50": ["task=language_bible_char", "model=lstm", "model.hidden_size=32"],
    "forecasting_stocks": ["task=forecasting_stocks"],
    "language_bible_char": ["task=language_bible_char"],
    "labelling_porttinari_pos": ["task=labelling_porttinari_pos"],
}
CONTESTANTS = {"bare": bare, "full": full, "usual": usual}
TITLE = "Speed as a share of the bare loop's (processor time in brackets)"
COLUMNS = {
    "case": "{case}",
    "bare updates/s": "{bare_updates_per_second:.0f}",
    "full": "{full_wall:.3f} ({full_processor:.3f})",
    "usual": "{usual_wall:.3f} ({usual_processor:.3f})",
}
SHORTER = 10
"""`usual` is timed over a tenth of the updates: each takes it the same time."""


@takes_json
def main() -> None:
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=5000, help="of a run")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--accelerator", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    os.environ["TTY_COMPATIBLE"] = "1"  # draw the progress bar, and pay for it, into a file too
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        on = [f"trainer.accelerator={options.accelerator}"]
        timings = {
            case: _alternate([*CASES[case], *on], options.updates, options.repetitions) for case in options.cases
        }
    caption = f"medians of {options.repetitions} alternating repetitions of {options.updates} updates, "
    caption += "one thread, no validation, no probes"
    records = [_record(case, took) for case, took in timings.items()]
    printer().show("speeds", records, table(records, COLUMNS, title=TITLE, caption=caption))


def _alternate(case: list[str], updates: int, repetitions: int) -> dict[str, list[Spent]]:
    """Time all contestants on one case; return the timings by contestant."""
    long, short = _config(case, updates), _config(case, max(1, updates // SHORTER))
    took: dict[str, list[Spent]] = {name: [] for name in CONTESTANTS}
    for _ in range(repetitions):
        for name, contestant in CONTESTANTS.items():
            took[name].append(measure(contestant, short if contestant is usual else long))
    return took


def _config(case: list[str], updates: int) -> Config:
    """Compose a case without validation and probes, which the bare loop does not have; its store is in this folder."""
    budget = [f"trainer.max_updates={updates}", f"trainer.validate_every={2 * updates}"]
    store = f"tracking.uri=sqlite:///{Path.cwd() / 'mlflow.db'}"
    return composed("slug=bench", "clip=norm", "probe=none", *case, *budget, store)


def _record(case: str, took: dict[str, list[Spent]]) -> dict[str, str | float]:
    """Updates a second of the bare loop, and the speed of each other one as a share of it."""
    kinds: dict[str, Callable[[Spent], float]] = {"wall": _wall, "processor": _cpu}
    ratios = {
        f"{name}_{kind}": _median(took["bare"], of) / _median(took[name], of)
        for name in CONTESTANTS if name != "bare"
        for kind, of in kinds.items()
    }  # fmt: skip
    return {"case": case, "bare_updates_per_second": 1 / _median(took["bare"], _wall), **ratios}


def _median(timings: list[Spent], kind: Callable[[Spent], float]) -> float:
    return statistics.median(map(kind, timings))


def _wall(took: Spent) -> float:
    return took.wall


def _cpu(took: Spent) -> float:
    return took.cpu


if __name__ == "__main__":
    main()
