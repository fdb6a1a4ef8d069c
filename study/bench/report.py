"""`python -m study.bench.report`: how long a report on many runs with full histories takes.

Runs are synthetic, written by the project's own tracking: every parameter, some thirty metrics, a history of one row an
update, the flow at several updates. Of the MLflow charts there is the measure on validation alone, which a report reads
for the arms whose learning curves it draws. With `--folder` the runs are kept and used again, so that the reports can
be timed by themselves and looked at.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from study.bench.composed import composed
from study.installation import typed
from study.report.pages.study import write
from study.schema import Config
from study.terminal import printer, table, takes_json
from study.tracking import uri as place
from study.tracking import writer
from study.tracking.description import describe
from study.tracking.place import Place
from study.tracking.reader import search

MODELS, SEEDS = ("elman", "lstm", "gru"), 5
LAGS = 60
VALIDATED = 100
PROBED = (0, 1, 10, 100, 1000)


COLUMNS = {
    "runs": "{runs}",
    "wall s": "{wall_seconds:.1f}",
    "processor s": "{processor_seconds:.1f}",
    "page MB": "{page_megabytes:.1f}",
}


@takes_json
def main() -> None:
    """Write studies of a quarter, a half and all of `--runs`, report each, print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--updates", type=int, default=2000, help="of every run")
    parser.add_argument("--folder", type=typed, help="keeps runs and pages, and uses those it has")
    options = parser.parse_args()
    records = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        for runs in (options.runs // 4, options.runs // 2, options.runs):
            slug = f"bench-{runs}"
            made = len(search(_store(folder), slug=slug)) if (folder / "mlflow.db").is_file() else 0
            for number in range(made, runs):
                track(slug, number, options.updates)
            records.append({"runs": runs, **_report(slug, folder)})
    title = f"Report of runs of {options.updates} updates"
    printer().show("reports", records, table(records, COLUMNS, title=title))


def _report(slug: str, folder: Path) -> dict[str, float]:
    """Write a report; return its wall and processor seconds, and the size of the page in MB."""
    wall, processor = time.perf_counter(), time.process_time()
    page = write(slug, _store(folder), place.UI, folder / slug)
    took = time.perf_counter() - wall, time.process_time() - processor
    return {"wall_seconds": took[0], "processor_seconds": took[1], "page_megabytes": page.stat().st_size / 1e6}


def track(slug: str, number: int, updates: int) -> None:
    """Write one run as training does, to the store in the current folder."""
    draw = np.random.default_rng(number)
    norms = draw.lognormal(-1, 0.5, updates).astype(np.float32)
    history = {
        "update": np.arange(1, updates + 1),
        "loss": norms,
        "grad_norm/total": norms,
        "grad_norm/applied": np.minimum(norms, 0.5),
    }
    parameters = {f"grad_norm/parameter_{i}": norms * 0.3 for i in range(8)}
    flow = pd.concat([_flow(update, draw) for update in (*PROBED, updates)])
    numbers = {f"grad_norm/parameter_{i}_max": 1.0 for i in range(25)} | {"flow/decay": -0.2, "flow/horizon": 23.0}
    numbers |= {
        "rmse/test": draw.normal(0.5, 0.02),
        "rmse/baseline": 0.6,
        "run/updates": float(updates),
        "run/seconds": 9.0,
    }
    with writer.run(describe(_config(slug, number)), Place(f"run {number}", tags={"phase": "grid"})) as run:
        run.log_points([(update, {"rmse/val": 0.6}) for update in range(0, updates, VALIDATED)] + [(updates, numbers)])
        run.log_table(pa.table(history | parameters), "gradients.parquet")
        run.log_table(pa.Table.from_pandas(flow), "flow.parquet")
        run.tag({"outcome": "completed", "verdict": "healthy"})


def _flow(update: int, draw: np.random.Generator) -> pd.DataFrame:
    """Draw what the flow probe measures at one update."""
    lags = np.arange(LAGS + 1)
    log_phi = -draw.uniform(0.1, 0.3) * lags + draw.normal(0, 0.1, LAGS + 1)
    return pd.DataFrame({"update": update, "of": "memory", "lag": lags, "log_phi": log_phi})


def _config(slug: str, number: int) -> Config:
    """Compose the run of a number: `SEEDS` runs an arm, three models an arm size, sizes increasing."""
    arm, seed = divmod(number, SEEDS)
    size, model = divmod(arm, len(MODELS))
    arms = [f"model={MODELS[model]}", f"model.hidden_size={8 + size}", f"seed={seed}"]
    return composed(f"slug={slug}", f"tracking.uri={_store(Path.cwd())}", "clip=norm", *arms)


def _store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


if __name__ == "__main__":
    main()
