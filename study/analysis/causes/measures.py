"""The measures that the tests of causes need, and what they cost.

At the end of a run only those are taken that it can pay for: a share of what its training cost. The price of each is a
constant, so that a rerun takes the same ones; what is left out is said. A question to a finished run takes them all.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from study.analysis.diagnosis.facts import Probed, Setup
from study.schema.probe import (
    FlowConfig,
    GeometryConfig,
    LyapunovConfig,
    SensitivityConfig,
    SharpnessConfig,
    TruncationConfig,
)
from study.training.module import RecurrentModule

SHARE = 0.05
"""Of the training of a run that measures at its end may cost."""
PRICES = {
    "flow": 4,
    "saturation": 4,
    "geometry": 3,
    "truncation": 20,
    "sensitivity": 30,
    "sharpness": 20,
    "lyapunov": 35,
}
"""In training steps, one full BPTT of a batch: the dearest core's, by `python -m study.bench.probes`."""
TWICE_DIFFERENTIATED = 4
"""torch's LSTM falls back to slow steps where it is differentiated twice: that many times the price of a sharpness."""


class Completed(NamedTuple):
    """The measures at the end of a run.

    Attributes:
        probed: all there are.
        missing: why others were not taken, by name.
    """

    probed: Probed
    missing: Mapping[str, str]


def plans(setup: Setup, stride: int = 1) -> dict[str, Any]:
    """What the tests need, in the order of the tests; `stride`: steps between updates, no k2 is shorter."""
    horizon = setup.horizon
    wanted: dict[str, Any] = {
        "flow": FlowConfig(max_lag=max(60, horizon), samples=32),
        "saturation": True,
        "geometry": GeometryConfig(parts=None),
    }
    if not setup.horizon_known and setup.reach is not None:
        wanted["truncation"] = TruncationConfig(k2=sorted({stride, setup.reach + 1}), parts=1)
    wanted["sharpness"] = SharpnessConfig(iterations=5)
    wanted["sensitivity"] = SensitivityConfig(draws=2, sequences=8)
    return wanted | {"lyapunov": LyapunovConfig(exponents=1, sequences=16, horizon=horizon, autonomous=None)}


def completed(module: RecurrentModule, setup: Setup, probed: Probed, budget: float = math.inf) -> Completed:
    """Add what is missing to the last measures of a module, as far as a budget goes.

    Nothing of the training changes, and nothing is drawn from its random generators. Where an optimizer keeps a mean of
    the weights, a module that was trained holds that.

    Args:
        module: see `RecurrentModule.measure`.
        setup: what of its configuration a cause may lie in.
        probed: what was measured already after its last update.
        budget: in training steps.
    """
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, plan in plans(setup, module.truncation.stride[1] or 1).items():
        if getattr(probed, name) is not None:
            continue
        if (cost := price(name, module)) > budget:
            left = f"{max(0.0, budget):.0f} are left of {SHARE:.0%} of the run"
            missing[name] = f"it costs {cost} training steps, and {left}"
            continue
        budget -= cost
        try:
            found |= module.measure({name: plan})
        except RuntimeError as error:  # a cell of the user's own need not have every derivative
            missing[name] = f"it cannot be taken of this network: {str(error).splitlines()[0]}"
    return Completed(Probed(**(probed._asdict() | found)), missing)


def price(probe: str, module: RecurrentModule) -> int:
    """What a measure costs, in training steps."""
    slow = probe == "sharpness" and any(isinstance(part, nn.LSTM) for part in module.model.modules())
    return PRICES[probe] * (TWICE_DIFFERENTIATED if slow else 1)


def allowance(module: RecurrentModule) -> float:
    """What the measures at the end of a run may cost, in training steps: a share of those that the run made."""
    batch = next(module.task.batches("train").epoch(0))
    return SHARE * len(module.history) * module.pace.steps / max(1, batch.steps)
