"""Workers of a sweep whose runs take no time: `python -m tests.crowd URL RUNS` works on the study until it is done."""

import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
from omegaconf import OmegaConf

from study.schema import Config
from study.schema.sweep import Sweep
from study.sweep import ledger
from study.sweep.ledger import Ledger
from study.sweep.plan import Arm, Plan
from study.sweep.storage import open_study
from study.sweep.worker import Stop, Worker

PLAIN: dict[str, Any] = {
    "arms": [], "search": {}, "trials": 3, "seeds": [0], "sampler": "tpe", "pruner": None, "pathology": None,
    "diverged": "worst", "changed": "refuse", "failures": None, "workers": None, "storage": "", "dry_run": False,
}  # fmt: skip
"""A sweep's section with nothing in it."""


class Quick(Worker):
    """A worker that trains nothing."""

    def _train(self, trial: optuna.Trial, stop: Stop) -> Any:
        time.sleep(0.01)
        diagnosis = SimpleNamespace(outcome="completed", verdict="healthy")
        measures = {"rmse/test": 1.0, "rmse/baseline": 2.0}
        return SimpleNamespace(
            diagnosis=diagnosis, measures=measures, primary="rmse", run_id="", seconds=0.01, objective=1.0
        )


def plan(runs: int) -> Plan:
    """One arm on so many seeds."""
    unchecked: Any = Config.model_construct
    parts = {"model": SimpleNamespace(name="elman"), "task": SimpleNamespace(name="none")}
    return Plan([], {"arm": Arm({"model": "elman"}, "arm", {}, unchecked(**parts))}, {}, 0, list(range(runs)))


def book(url: str, runs: int) -> Ledger:
    """The ledger that all of them write in."""
    return Ledger(open_study(url, "crowd", "minimize"), plan(runs))


def worker(url: str, runs: int, folder: Path) -> Quick:
    """One of them."""
    nothing: Any = None
    common: Any = SimpleNamespace(slug="crowd", sweep=Sweep(**(PLAIN | {"storage": url})))
    return Quick(nothing, nothing, common, plan(runs), "", folder)


if __name__ == "__main__":
    ledger.GRACE = timedelta(seconds=2)  # a kill between claiming and signing shall not cost the tests a minute
    address, wanted = sys.argv[1], int(sys.argv[2])
    book(address, wanted)
    worker(address, wanted, Path(sys.argv[3]))(OmegaConf.create())
