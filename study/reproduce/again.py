"""One logged run made again: restored, told apart from here, trained, compared, linked both ways."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl

from study import tasks
from study.module import RecurrentModule
from study.reproduce.compare import Comparison, compare, cut_short, last_update
from study.reproduce.differences import Difference, differences
from study.reproduce.restore import Restored
from study.seeding import set_up_process
from study.tracked import Logged, find
from study.train import train


@dataclass(frozen=True)
class Again:
    """A run made again.

    Attributes:
        original: as it was logged.
        run_id: of the new run.
        comparison: of the two; None for a variation, which is meant to differ.
    """

    original: Logged
    run_id: str
    comparison: Comparison | None
    summary: str


def again(
    logged: Logged,
    restored: Restored,
    overrides: Sequence[str] = (),
    tolerance: float = 0.0,
    tell: Callable[[list[Difference]], None] = lambda found: None,
) -> Again:
    """Make a run again.

    Args:
        logged: the run.
        restored: its configuration, with `overrides` applied.
        overrides: not empty: a variation, not compared.
        tolerance: see `compare`.
        tell: is given what differs, before the training starts.
    """
    config, kind = restored.config, "variation" if overrides else "reproduction"
    set_up_process(config.trainer.accelerator)
    tell(differences(logged, restored, tasks.build(config.task, config.data, config.seed)))
    relation, back = ("varies", "varied_by") if overrides else ("reproduces", "reproduced_by")
    tags = {relation: logged.run_id, "kind": kind}
    stop = [StopAt(last_update(logged))] if cut_short(logged) and not overrides else []
    name, parent = f"{logged.name} ({kind})", logged.run_id
    result = train(config, overrides, name=name, parent=parent, tags=tags, callbacks=stop)
    logged.tag({back: " ".join([*logged.tags.get(back, "").split(), result.run_id])})
    new = find(logged.uri, result.run_id)[0]
    comparison = None if overrides else compare(logged, new, tolerance)
    if comparison is not None:
        new.tag({"comparison": str(comparison)})
    return Again(logged, result.run_id, comparison, result.summary(config))


class StopAt(pl.Callback):
    """Ends a run where one that was stopped from outside had come to."""

    def __init__(self, update: int):
        self._update = update

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: RecurrentModule, *_: object) -> None:
        """After the Lightning step in which the update was made."""
        if len(pl_module.history) >= self._update:
            trainer.should_stop = True
