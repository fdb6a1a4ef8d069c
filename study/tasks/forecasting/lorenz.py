"""Lorenz's equations of 1963, the standard example of chaos: the state a step later, from the state.

    dx/dt = sigma (y - x),  dy/dt = x (rho - z) - y,  dz/dt = x y - beta z,    sigma = 10, rho = 28, beta = 8/3

One trajectory, by the classical Runge-Kutta method of fourth order with steps of `dt`, from (1, 1, 1) on; what lies
before it reaches the attractor is left out. It has no noise, and the present state alone decides the next one: what
can be learnt is the map of one step. Its exponents are known, 0.9056, 0 and -14.5723 a unit of time (Sprott 2003,
appendix A), so that a network that runs on its own predictions can be held against them (`probe.lyapunov.autonomous`).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import pandas as pd
from torch import Tensor

from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingLorenzConfig as Config
from study.tasks.forecasting.family import Forecasting, Tables, chronological, share_ends
from study.tasks.forecasting.scaling import Target

SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
NAMES = ("x", "y", "z")
TRANSIENT = 20.0
"""Units of time left out at the start."""
Number = TypeVar("Number", float, Tensor)
Point = tuple[Number, Number, Number]


def slope(x: Number, y: Number, z: Number) -> Point[Number]:
    """The right-hand side of the equations, of numbers or entry by entry of tensors."""
    return SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z


def advance(point: Point[Number], dt: float) -> Point[Number]:
    """The state `dt` later, by one step of Runge-Kutta."""
    first = slope(*point)
    second = slope(*_moved(point, first, dt / 2))
    third = slope(*_moved(point, second, dt / 2))
    fourth = slope(*_moved(point, third, dt))
    x, y, z = (a + 2 * b + 2 * c + d for a, b, c, d in zip(first, second, third, fourth, strict=True))
    return _moved(point, (x, y, z), dt / 6)


def _moved(point: Point[Number], by: Point[Number], time: float) -> Point[Number]:
    x, y, z = (old + time * rate for old, rate in zip(point, by, strict=True))
    return x, y, z


def load_lorenz(config: Config, data: DataConfig) -> Tables:
    """The trajectory; targets are the state a step later. Persistence: the state stays."""
    frame = pd.DataFrame(trajectory(config.steps + 1, config.dt), columns=[*NAMES])
    targets = {f"{name} +1": Target(1, name, name) for name in NAMES}
    frame = frame.assign(**{f"{name} +1": frame[name].shift(-1) for name in NAMES}).iloc[:-1]
    splits = chronological(frame, share_ends(frame.index, config), 1)
    return Tables({"trajectory": splits}, targets, "Lorenz's equations, integrated")


@lru_cache
def trajectory(steps: int, dt: float) -> list[Point[float]]:
    """So many states on the attractor, `dt` apart."""
    return [*_walk(steps, dt)]


def _walk(steps: int, dt: float) -> Iterator[Point[float]]:
    point, before = (1.0, 1.0, 1.0), round(TRANSIENT / dt)
    for number in range(before + steps):
        if number >= before:
            yield point
        point = advance(point, dt)


class Lorenz(Forecasting):
    """(x, y, z) in, (x, y, z) a step later out, both in the standard deviations of the state: predictions feed back."""

    load = staticmethod(load_lorenz)
    opponents = ("mean", "persistence", "autoregression")

    @staticmethod
    def moments(training: Sequence[pd.DataFrame]) -> tuple[pd.Series, pd.Series]:
        """See `Forecasting`; a target is scaled as the feature whose next value it is."""
        mean, std = Forecasting.moments(training)
        for name in NAMES:
            mean[f"{name} +1"], std[f"{name} +1"] = mean[name], std[name]
        return mean, std
