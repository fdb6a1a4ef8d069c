"""`python -m study.bench.report`: how long it takes to read back and summarise many runs with full histories.

Runs are synthetic, written by the project's own tracking: every parameter, some thirty metrics, one row an update. The
points of the MLflow charts are left out: a report never reads them.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from study import tracking
from study.command import CONF
from study.report.study_page import write
from study.schema import Config, validate

SLUG, MODELS, SEEDS = "bench", ("elman", "lstm", "gru"), 5
LAGS = 60


def main() -> None:
    """Write runs in three steps up to `--runs`, report after each, print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--updates", type=int, default=2000, help="of every run")
    options = parser.parse_args()
    table = Table("runs", "wall s", "processor s", "page MB", title=f"Report of runs of {options.updates} updates")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made = 0
        for runs in (options.runs // 4, options.runs // 2, options.runs):
            for number in range(made, runs):
                _track(number, options.updates)
            made = runs
            table.add_row(str(runs), *_report(Path(folder)))
    Console().print(table)


def _report(folder: Path) -> tuple[str, str, str]:
    """Wall and processor seconds of a report, and the size of its page."""
    wall, processor = time.perf_counter(), time.process_time()
    page = write(SLUG, _store(folder), "http://127.0.0.1:5000", folder / "report")
    took = time.perf_counter() - wall, time.process_time() - processor
    return f"{took[0]:.1f}", f"{took[1]:.1f}", f"{page.stat().st_size / 1e6:.1f}"


def _track(number: int, updates: int) -> None:
    """One run as training would have left it."""
    draw = np.random.default_rng(number)
    norms = draw.lognormal(-1, 0.5, updates).astype(np.float32)
    history = {
        "update": np.arange(1, updates + 1),
        "grad_norm/total": norms,
        "grad_norm/applied": np.minimum(norms, 0.5),
    }
    parameters = {f"grad_norm/parameter_{i}": norms * 0.3 for i in range(8)}
    lags = np.arange(LAGS + 1)
    flow = pd.DataFrame({"update": updates, "of": "memory", "lag": lags, "log_phi": -0.2 * lags + draw.normal(0, 0.1)})
    numbers = {f"grad_norm/parameter_{i}_max": 1.0 for i in range(25)} | {"flow/decay": -0.2, "flow/horizon": 23.0}
    numbers |= {
        "rmse/test": draw.normal(0.5, 0.02),
        "rmse/baseline": 0.6,
        "run/updates": float(updates),
        "run/seconds": 9.0,
    }
    with tracking.run(_config(number), f"run {number}", {"phase": "grid"}) as run:
        run.log_points([(updates, numbers)])
        run.log_table(pa.table(history | parameters), "gradients.parquet")
        run.log_table(pa.Table.from_pandas(flow), "flow.parquet")
        run.tag({"outcome": "completed", "verdict": "healthy"})


def _config(number: int) -> Config:
    """Arms of `SEEDS` seeds: three models, ever larger."""
    arm, seed = divmod(number, SEEDS)
    size, model = divmod(arm, len(MODELS))
    arms = [f"model={MODELS[model]}", f"model.hidden_size={8 + size}", f"seed={seed}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return validate(compose("train", [f"slug={SLUG}", f"tracking.uri={_store(Path.cwd())}", "clip=norm", *arms]))


def _store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


if __name__ == "__main__":
    main()
