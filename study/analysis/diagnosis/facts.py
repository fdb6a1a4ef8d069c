"""What a diagnosis rests on, in plain values: gathered from a run by `study.analysis.result`, made by hand in tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from study.probes.flow import Flow
from study.probes.geometry import Geometry
from study.probes.lyapunov import Lyapunov
from study.probes.saturation import Saturation
from study.probes.sensitivity import Sensitivity
from study.probes.sharpness import Sharpness
from study.probes.truncation import Truncation
from study.schema import Config
from study.standing import Direction


@dataclass(frozen=True)
class Course:
    """The updates of a run.

    Attributes:
        losses: the training loss of every update.
        norms: the gradient norm before clipping of every update.
        applied: the same after it.
        diverged: the update (from 1) at which the run left the finite numbers, or None.
        validation: the loss on the validation split at the end; NaN while the run trains.
        share: how much the clip policy changed of what it looks at (parameters, units, states), of every update, from 0
            to 1; None: it looks at the whole gradient.
        validations: the losses on the validation split while it trained, oldest first, the one at the end the last.
        rates: the learning rate of every update; None: one for all.
    """

    losses: Float[np.ndarray, " updates"]
    norms: Float[np.ndarray, " updates"]
    applied: Float[np.ndarray, " updates"]
    diverged: int | None = None
    validation: float = math.nan
    share: Float[np.ndarray, " updates"] | None = None
    validations: Sequence[float] = ()
    rates: Float[np.ndarray, " updates"] | None = None


class Probed(NamedTuple):
    """The measures after one update that the diagnosis, or a test of causes, reads; None where a probe was not run."""

    update: int
    flow: Flow | None = None
    lyapunov: Lyapunov | None = None
    saturation: Saturation | None = None
    geometry: Geometry | None = None
    sharpness: Sharpness | None = None
    sensitivity: Sensitivity | None = None
    truncation: Truncation | None = None


@dataclass(frozen=True)
class Standing:
    """Where a run stands on the test split, by the primary measure of its task.

    Attributes:
        measure: its name.
        value: of the network.
        baseline: of the guess without memory.
        opponent: of the best opponent, and its name.
        direction: whether less or more of it is better.
        solved: whether the task's criterion of success is met; None: it has none.
        unsolved_at: the shortest further length at which it is not met, and the measure there; None: there is none, or
            the network was tested at no further length.
    """

    measure: str
    value: float
    baseline: float
    opponent: tuple[float, str]
    direction: Direction
    solved: bool | None = None
    unsolved_at: tuple[int, float] | None = None


@dataclass(frozen=True)
class Setup:
    """What of the configuration a cause may lie in.

    Attributes:
        horizon: the lag in steps at which the task needs the past.
        horizon_known: whether that is certain; else it is somebody's guess.
        reach: the largest lag that truncated gradients reach, k2 - 1; None: all of a sequence.
        reach_key: the key that says so.
        rate: `optimizer.lr`. A schedule multiplies it, so a change in some proportion changes every update's rate so.
        clipped: there is a clip policy.
        hidden_size: units a layer.
        gain: scale of the recurrent weights at the start; None: the core has none.
        tracks_state: every answer depends on a state that all steps before it may have changed.
        more_expressive: overrides for a core that follows states which this one cannot, see `study.schema.model`; empty
            where none is known that this one cannot.
        longer_memory: overrides for a core whose gradients last longer, see `study.schema.model`.
        wider: overrides for twice the network.
        longer_training: overrides for three times the budget.
        horizon_given: whether anybody states a horizon; else it is the largest lag that was measured, and nothing but
            `exploding` is concluded.
    """

    horizon: int
    horizon_known: bool
    reach: int | None = None
    reach_key: str = "bptt.k2"
    rate: float = 1e-3
    clipped: bool = False
    hidden_size: int = 1
    gain: float | None = 1.0
    tracks_state: bool = False
    more_expressive: str = ""
    longer_memory: str = ""
    wider: str = ""
    longer_training: str = ""
    horizon_given: bool = True

    @classmethod
    def of(cls, config: Config, clipped: bool, hidden_size: int) -> "Setup":
        """From a checked configuration, and the units a layer that its network got."""
        task = config.task
        far = config.bptt.farthest(task.sequence_steps(dict(task)) if task.stream else None)
        return cls(
            horizon=task.horizon,
            horizon_known=task.horizon_known,
            reach=None if far is None else far - 1,
            reach_key=f"bptt.{config.bptt.reach[0]}",
            rate=config.optimizer.lr,
            clipped=clipped,
            hidden_size=hidden_size,
            gain=config.model.scale_at_start,
            tracks_state=task.tracks_state,
            more_expressive=config.model.more_expressive(),
            longer_memory=config.model.longer_memory(task.horizon),
            wider=config.model.wider(hidden_size),
            longer_training=config.trainer.longer(3),
        )


@dataclass(frozen=True)
class Facts:
    """All of it.

    Attributes:
        probed: oldest first.
        standing: None while a run trains.
    """

    setup: Setup
    course: Course
    probed: Sequence[Probed] = field(default=())
    standing: Standing | None = None
