"""The runs that tell causes apart, tracked: forks of the run that is asked, and new runs beside its first updates."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from study.analysis.causes.forks import Contrast, Stretch, compared, scatter
from study.analysis.causes.tested import CauseTest
from study.ask.fork import fork
from study.reproduce.compare import HISTORY
from study.reproduce.rerun import RELATIONS, StopAt
from study.reproduce.restore import restore_run
from study.tracking.outcomes import LOST
from study.tracking.place import Place
from study.tracking.reader import Logged, find_one
from study.train import train

VALIDATION = "loss/val"


class Contrasted(NamedTuple):
    """A run that was made to test a cause.

    Attributes:
        contrast: how it differs.
        run: as it was logged.
        at: the update after which it differs; 0: it is a new run.
        tested: what it says.
    """

    contrast: Contrast
    run: Logged
    at: int
    tested: CauseTest


def make(parent: Logged, wanted: Sequence[Contrast], at: int, code: Path | None) -> list[Contrasted]:
    """Train them, and compare each with the same stretch of the run that is asked.

    Args:
        parent: that run.
        wanted: what to train.
        at: the update after which forks part; 0: none is possible, and all are new runs.
        code: folder for code that was logged with the run; None: it is not trusted.

    Raises:
        ConfigError: one of them cannot be trained.
    """
    anew = [one for one in wanted if one.anew or not at]
    forked = [one for one in wanted if one not in anew]
    forks = fork(parent, [one.overrides for one in forked], at, code) if forked else []
    found = [_beside(parent, one, run, at) for one, run in zip(forked, forks, strict=True)]
    return [*found, *(_beside(parent, one, _new(parent, one, code), 0) for one in anew)]


def quarter(parent: Logged, updates: int) -> int | None:
    """The first update, after a quarter of the run or later, at which it was validated; None: that is its end."""
    return next((at for at, _ in _validations(parent) if updates / 4 <= at < updates), None)


def _new(parent: Logged, contrast: Contrast, code: Path | None) -> Logged:
    """A new run, as long as the parent where it is to replace it, else up to one of its validations."""
    config = restore_run(parent, code, contrast.overrides).config
    parent.refuse_elsewhere(config.slug)
    relation, _, kind = RELATIONS[True]
    name = f"{' '.join(contrast.overrides)}, beside {parent.started_as}"
    place = Place(name, parent.run_id, {relation: parent.run_id, "kind": kind})
    updates = len(parent.table(HISTORY, ["update"]))
    until = (quarter(parent, updates) or math.ceil(updates / 4)) if contrast.anew else None
    made = train(config, contrast.overrides, place, [] if until is None else [StopAt(until)])
    return find_one(parent.uri, made.run_id)


def _beside(parent: Logged, contrast: Contrast, run: Logged, at: int) -> Contrasted:
    mine, its = (_losses(one)[at:] for one in (parent, run))
    validations = _validations(parent)
    spread = scatter([value for _, value in validations])
    ends = at + len(its)
    known = dict(validations).get(ends, math.nan) if contrast.anew else parent.measures.get(VALIDATION, math.nan)
    destroyed = parent.tags["outcome"] in LOST and not contrast.anew
    control = Stretch(mine[: len(its)] if contrast.anew else mine, known, destroyed)
    other = Stretch(its, run.measures.get(VALIDATION, math.nan), run.tags["outcome"] in LOST)
    return Contrasted(contrast, run, at, compared(contrast, control, other, spread))


def _losses(run: Logged) -> np.ndarray:
    return run.table(HISTORY, ["loss"])["loss"].to_numpy(np.float32)


def _validations(run: Logged) -> list[tuple[int, float]]:
    return [(update, value) for _, update, value in run.points([VALIDATION])]
