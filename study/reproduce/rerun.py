"""One logged run made again: restored, told apart from here, trained, compared, linked both ways."""

from collections.abc import Callable
from dataclasses import dataclass

import pytorch_lightning as pl

from study import tasks
from study.reproduce.compare import Comparison, compare, cut_short, last_update
from study.reproduce.differences import Difference, differences
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
"""By whether a run is varied: its tag that names the original, the original's that names it, what it is called."""

ENDLESS = 1e9
"""Seconds: no run lasts so long."""


@dataclass(frozen=True, repr=False)
class Reproduction:
    """A run made again.

    Attributes:
        original: as it was logged.
        run_id: of the new run.
        found: every circumstance, then and here.
        comparison: of the two; None for a variation, which is meant to differ.
        summary: what came of the new run, in words.
    """

    original: Logged
    run_id: str
    found: list[Difference]
    comparison: Comparison | None
    summary: str

    @property
    def identical(self) -> bool:
        """Whether every recorded number came out the same; a variation promises nothing."""
        return self.comparison is None or self.comparison.identical

    def __repr__(self) -> str:
        """In words: where the runs part and what else differs, if they do, and on the last line what it came to."""
        if self.comparison is None:
            return f"{self.summary}\nvariation of {self.original.run_id}: not compared"
        others = [difference.what for difference in self.found if difference.differs]
        blame = f"not as it was then: {', '.join(others) or 'nothing that was recorded'}\n"
        return f"The new run is {self.run_id}.\n{'' if self.identical else blame}{self.comparison}"


def rerun(
    logged: Logged,
    restored: Restored,
    tolerance: float = 0.0,
    tell: Callable[[list[Difference]], None] = lambda found: None,
) -> Reproduction:
    """Make a run again, in the store it lies in: at once the same run and, by tags, a relative of the old one.

    A run that was cut short, or ended by the clock, is made as far as it came.

    Args:
        logged: the run.
        restored: its configuration; a variation is not compared.
        tolerance: see `compare`.
        tell: is given what differs, before the training starts.
    """
    compared = not restored.varied
    config, ends = _as_far(logged, restored) if compared else (restored.config, [])
    set_up_process(config.trainer.accelerator)
    found = differences(logged, restored, tasks.build(config.task, config.data, config.seed))
    tell(found)
    relation, back, kind = RELATIONS[restored.varied]
    place = Place(f"{logged.name} ({kind})", logged.run_id, {relation: logged.run_id, "kind": kind})
    result = train(config, restored.overrides, place, ends)
    old, new = (find(logged.uri, run_id)[0] for run_id in (logged.run_id, result.run_id))
    old.tag({back: " ".join([*old.tags.get(back, "").split(), new.run_id])})
    comparison = compare(logged, new, tolerance) if compared else None
    if comparison is not None:
        new.tag({"comparison": str(comparison)})
    if compared and cut_short(logged):
        new.tag({"outcome": logged.tags.get("outcome", "killed")})  # its end is not one of training either
    return Reproduction(logged, new.run_id, found, comparison, result.summary(config.slug, config.tracking.uri))


def _as_far(logged: Logged, restored: Restored) -> tuple[Config, list[pl.Callback]]:
    """The configuration, and what ends the run where something else than a number of updates ended the old one."""
    config, clocked = restored.config, restored.config.trainer.max_seconds is not None
    if clocked:
        endless = config.trainer.model_copy(update={"max_seconds": ENDLESS})
        config = config.model_copy(update={"trainer": endless})
    return config, [StopAt(last_update(logged))] if clocked or cut_short(logged) else []


class StopAt(pl.Callback):
    """Ends a run where one that was stopped from outside had come to."""

    def __init__(self, update: int):
        self._update = update

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: RecurrentModule, *_: object) -> None:
        """After the Lightning step in which the update was made."""
        if len(pl_module.history) >= self._update:
            trainer.should_stop = True
