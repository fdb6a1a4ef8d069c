"""Rerun one logged run: list what differs here, train, compare, link both runs by tags."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from study import tasks
from study.reproduce.compare import (
    RunComparison,
    compare,
    cut_short,
    has_lost_history,
    last_update,
    numbers,
    unrecorded,
)
from study.reproduce.differences import Difference, differences
from study.reproduce.fork import beginning
from study.reproduce.replay import ENDLESS
from study.reproduce.restore import Restored
from study.schema import Config
from study.seeding import set_up_process
from study.tracking.place import Place
from study.tracking.reader import Logged, find
from study.train import train
from study.training.module import RecurrentModule

RELATIONS = {
    False: ("reproduces", "reproduced_by", "reproduction"),
    True: ("varies", "varied_by", "variation"),
}
"""By whether it is a variation: its tag that names the original, the original's tag that names it, its `kind`."""


@dataclass(frozen=True, repr=False)
class Reproduction:
    """A logged run and its rerun.

    Attributes:
        original: as it was logged.
        run_id: of the rerun.
        found: every circumstance, then and here.
        comparison: of both; None for a variation, which is meant to differ.
        summary: of the rerun, as training prints it.
    """

    original: Logged
    run_id: str
    found: list[Difference]
    comparison: RunComparison | None
    summary: str

    @property
    def identical(self) -> bool:
        """Whether every recorded number is the same; True for a variation, which is not compared."""
        return self.comparison is None or self.comparison.identical

    @property
    def record(self) -> dict[str, Any]:
        """The result as a row of a table; `identical` is None for a variation."""
        compared = self.comparison
        found = {"run_id": self.original.run_id, "name": self.original.name, "reproduction": self.run_id}
        if compared is None:
            return {**found, "identical": None}
        first = None if compared.first is None else compared.first._asdict()
        counts = {"values": compared.values, "same": compared.same, "first_difference": first}
        return {**found, "identical": compared.identical, **counts}

    def __repr__(self) -> str:
        """Return the rerun's id, what differs, and the counts on the last line."""
        if self.comparison is None:
            return f"{self.summary}\nvariation of {self.original.run_id}: not compared"
        others = [difference.what for difference in self.found if difference.differs]
        part = f"{unrecorded(self.original)}: less is compared.\n" if has_lost_history(self.original) else ""
        blame = f"differs from then: {', '.join(others) or 'nothing that was recorded'}\n"
        return f"The new run is {self.run_id}.\n{part}{'' if self.identical else blame}{self.comparison}"


def rerun(
    logged: Logged,
    restored: Restored,
    tolerance: float = 0.0,
    show: Callable[[list[Difference]], None] = lambda found: None,
) -> Reproduction:
    """Rerun a run in the store it lies in, and link both runs by tags.

    A run that was cut short, or that a budget in seconds ended, is rerun up to its last recorded update.

    Args:
        logged: the run.
        restored: its configuration; a variation is not compared.
        tolerance: see `compare`.
        show: called with all circumstances before the training starts.
    """
    compared = not restored.varied
    config, ends = _as_far(logged, restored) if compared else (restored.config, [])
    logged.refuse_elsewhere(config.slug)
    recorded = numbers(logged) if compared else None  # before anything is trained: a damaged table is found here
    set_up_process(config.trainer.accelerator)
    found = differences(logged, restored, tasks.build(config.task, config.data, config.seed))
    show(found)
    relation, back, kind = RELATIONS[restored.varied]
    own = beginning(logged, restored.folder) if compared else None
    place = Place(f"{logged.started_as} ({kind})", logged.run_id, {relation: logged.run_id, "kind": kind}, start=own)
    result = train(config, restored.overrides, place, ends)
    old, new = (find(logged.uri, run_id)[0] for run_id in (logged.run_id, result.run_id))
    old.tag({back: " ".join([*old.tags.get(back, "").split(), new.run_id])})
    comparison = compare(logged, new, tolerance, recorded) if compared else None
    if comparison is not None:
        new.tag({"comparison": str(comparison)})
    if compared and cut_short(logged):
        new.end(logged.tags.get("outcome", "killed"))  # it did not end by training either
    return Reproduction(logged, new.run_id, found, comparison, result.summary(config.slug, config.tracking.uri))


def _as_far(logged: Logged, restored: Restored) -> tuple[Config, list[pl.Callback]]:
    """Return the configuration and, where no number of updates ended the original, the callback that ends the rerun."""
    config, clocked = restored.config, restored.config.trainer.max_seconds is not None
    if clocked:
        endless = config.trainer.model_copy(update={"max_seconds": ENDLESS})
        config = config.model_copy(update={"trainer": endless})
    return config, [StopAt(last_update(logged))] if clocked or cut_short(logged) else []


class StopAt(pl.Callback):
    """Ends a run after the last recorded update of the original."""

    def __init__(self, update: int):
        self._update = update

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: RecurrentModule, *_: object) -> None:
        """After the Lightning step in which the update was made."""
        if len(pl_module.history) >= self._update:
            trainer.should_stop = True
