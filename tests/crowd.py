"""The real command of a sweep with a training that takes no time: `python -m tests.crowd --multirun ...`.

`python -m tests.crowd cold FOLDER` starts four workers at once on a new SQLite storage, four times.
"""

import multiprocessing
import random
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from study.analysis.result import Result
from study.bench.claims import composed, untrained
from study.schema import Config, SweepingConfig, check
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.trials import ledger
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.storage import open_study
from study.sweep.workers import worker
from study.tracking import store, writer
from study.tracking.description import describe
from study.tracking.place import Place


def train(
    config: Config,
    overrides: Sequence[str],
    place: Place,
    callbacks: Sequence[object],
) -> Result:
    """Stands for `study.train.train`: a tracked run without a network."""
    with writer.run(describe(config), place) as run:
        place.announce(run.run_id)
        time.sleep(random.uniform(0, 0.05))
        run.tag({"outcome": "completed"})
    return untrained(run.run_id)


class OneComposer(Composer):
    """Composes once: the runs of these plans differ only in their seeds."""

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        if not hasattr(self, "_composed"):
            self._composed = super().compose(overrides)
        self._composed.seed = int(overrides[-1].removeprefix("seed="))
        return self._composed


class Quick(worker.Worker):
    """A worker that trains nothing."""

    def __call__(self, config: DictConfig) -> None:
        import study.train

        study.train.train = train  # type: ignore[assignment]
        self.composer = OneComposer(self.composer._loader, self.composer._choices._master, self.composer.fixed)
        ledger.GRACE = timedelta(seconds=2)  # else a kill between claiming and signing costs a minute
        super().__call__(config)


def cold(folder: Path) -> None:
    """Four times four processes that open a new storage at the same moment, and make six runs."""
    loader, master = composed()
    store.prepare(master.tracking.uri, master.slug)
    for number in range(4):
        master.sweep.storage = f"sqlite:///{folder}/{number}.db"
        common = check(OmegaConf.masked_copy(master, list(SweepingConfig.model_fields)), SweepingConfig)
        composer = Composer(loader, master)
        plan = build_plan(common.sweep, ["seed=range(6)"], composer)
        one = Quick(composer, common, plan, "", folder, "")
        start = multiprocessing.get_context("fork")
        at_once = start.Barrier(4)
        workers = [start.Process(target=_enter, args=(at_once, one)) for _ in range(4)]
        for process in workers:
            process.start()
        for process in workers:
            process.join()
        assert [process.exitcode for process in workers] == [0] * 4
        with open_study(common.sweep.storage, common.slug) as study:
            assert Ledger(study, plan).counts() == {"completed": 6, "open": 0}
            print(f"round {number}: {len(study.trials)} trials")


def _enter(at_once: Any, one: Quick) -> None:
    at_once.wait()
    with open_study(one.common.sweep.storage, one.common.slug, "minimize"):
        one(OmegaConf.create())


if __name__ == "__main__":
    from tests import crowd  # under its own name, by which workers find it

    if sys.argv[1] == "cold":
        crowd.cold(Path(sys.argv[2]))
    else:
        from study.report.pages import study as study_page
        from study.train import main

        study_page.write = lambda *_, **__: Path("no report of no networks")
        worker.Worker = crowd.Quick  # type: ignore[misc]
        main()
