"""`python -m study.bench.fixed`: CPU seconds of a run that trains next to nothing: what every run of a sweep pays.

Runs of ten updates follow each other in one process and one store, as those of a worker do; the same number of bare
updates, PyTorch alone on the same network, stands beside them. CPU seconds: other work on the machine hardly changes
them.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from study.bench.composed import composed
from study.bench.contestants import bare, measure
from study.schema import Config
from study.terminal import printer, table, takes_json
from study.train import train

UPDATES = 10
"""Of every run."""
TINY = ("task=forecasting_sine_mix", "model=elman", "model.hidden_size=4", f"trainer.max_updates={UPDATES}")
SETUP = ("clip=norm", "slug=bench", "tracking.uri=sqlite:///mlflow.db", "trainer.progress_bar=false")
PROBES = ("none", "end")
FEW = 10
"""Runs that an early and a late median are taken of."""
LEAST = 2 * FEW + 1
COLUMNS = {
    "probe": "{probe}",
    "first run": "{first:.2f}",
    "the next ten": "{early:.3f}",
    "the last ten": "{late:.3f}",
    "bare updates": "{bare:.4f}",
    "times bare": "{ratio:.0f}",
}


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help=f"of every row, at least {LEAST}; default 50")
    parser.add_argument("--probes", nargs="*", choices=PROBES, default=list(PROBES), metavar="PROBE")
    options = parser.parse_args()
    if options.runs < LEAST:
        parser.error(f"--runs {options.runs}: the first, ten early and ten late ones need {LEAST}")
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        records = [_record(probe, options.runs) for probe in options.probes]
    caption = "the first of all runs creates the store and imports what it needs"
    printer().show("runs", records, table(records, COLUMNS, title="CPU seconds of a run", caption=caption))


def _record(probe: str, runs: int) -> dict[str, Any]:
    configs = [configured(probe, seed) for seed in range(runs)]
    spent = [cpu_seconds(config) for config in configs]
    early, late = statistics.median(spent[1 : FEW + 1]), statistics.median(spent[-FEW:])
    alone = UPDATES * statistics.median(measure(bare, config).cpu for config in configs[:FEW])
    return {"probe": probe, "first": spent[0], "early": early, "late": late, "bare": alone, "ratio": late / alone}


def configured(probe: str, seed: int) -> Config:
    """A run of ten updates."""
    return composed(*TINY, *SETUP, f"probe={probe}", f"seed={seed}")


def cpu_seconds(config: Config) -> float:
    """Of a run from its configuration to its result, all threads of this process."""
    before = time.process_time()
    with redirect_stderr(StringIO()):
        train(config)
    return time.process_time() - before


if __name__ == "__main__":
    main()
