"""Metrics that share no code and must agree; and verdicts that must turn where theory says."""

from collections.abc import Iterator

from study.analysis.diagnosis.facts import Probed, Setup
from study.analysis.diagnosis.over_lag import over_lag
from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.models import RecurrentModel
from study.probes.flow import gradient_flow
from study.probes.lyapunov import lyapunov
from study.schema.model import MODELS
from study.verify.check import Check
from study.verify.networks import MSE, data, linear, orthogonal, random_network, scalable

HORIZON = 20


def prediction() -> Iterator[Check]:
    """Two measures that share no code but the step: the largest exponent and the slope of the flow."""
    for name in MODELS:
        if scalable(name):
            for gain in (0.5, 1.0, 1.5, 2.0, 3.0):
                yield _predicted(f"{name}, gain {gain:g}", random_network(name, gain), 160)
        else:  # units that do not mix take long to show which of them forgets last
            yield _predicted(name, random_network(name, 1.0), 400)


def _predicted(of: str, network: RecurrentModel, steps: int) -> Check:
    """The slope over three quarters of the steps."""
    batch = data(steps, 6)
    # Two directions, because one alone takes long to turn away from a second that is nearly as lasting.
    exponent = float(lyapunov(network, batch, 2, 6).exponents[0])
    decay = gradient_flow(network, MSE, batch, steps * 3 // 4, 30).memory.decay
    return Check("decay rate, by exponent", of, exponent, decay, 0.02)


def boundaries() -> Iterator[Check]:
    """The rho at which the verdict on W = rho Q turns: the threshold's root of the order of the horizon."""
    for below, above, threshold in (("vanishing", "healthy", VANISHED), ("healthy", "exploding", EXPLODED)):
        low, high = 0.5, 1.5
        while high - low > 1e-7:
            middle = (low + high) / 2
            reached = verdict(linear(middle * orthogonal(4))) in (above, "exploding")
            low, high = (low, middle) if reached else (middle, high)
        yield Check(f"rho from {below} to {above}", f"linear, horizon {HORIZON}", threshold ** (1 / HORIZON), low, 1e-6)


def verdict(network: RecurrentModel) -> str:
    """Of the flow alone."""
    flow = gradient_flow(network, MSE, data(HORIZON + 2, 2), HORIZON, 2)
    return over_lag(Setup(HORIZON, horizon_known=True), Probed(0, flow)).verdict
