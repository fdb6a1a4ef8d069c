r"""Lyapunov exponents: the mean rates at which nearby states of a network, driven by the task's data, diverge.

    Q_t R_t = J_t^T Q_{t+1},   lambda_i = mean over t of log |R_t,ii|,

J_t = d x_t / d x_{t-1} being the Jacobian of one step in the whole state x (all layers, all parts), Q orthonormal
(Benettin et al. 1980; for recurrent networks Vogt et al. 2020, arXiv 2006.14123; Engelken, Wolf & Abbott 2023). The
product of transposed Jacobians, taken backwards, has the singular values of the product itself, and its factors are
what backpropagation applies anyway: vector-Jacobian products.

The largest exponent predicts the decay rate of the gradient flow (`study.probes.flow`). A positive one in a network
whose states are bounded is chaos. Exponents depend on the strength of the inputs, so they belong to a task. From the
same spectrum follow the condition number of the product, exp(T (lambda_1 - lambda_m)), the number of directions that
last as long as the task needs, and the dimension of the attractor.

Activations: nats a step.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.exponents import exponents_by_qr, transposed_product
from study.models import RecurrentModel
from study.models.stepping import evaluating, flatten
from study.probes.autonomous import autonomous_exponents
from study.probes.flow import reachable
from study.probes.path import chain
from study.probes.result import ProbeResult
from study.schema.probe import LyapunovConfig
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Lyapunov(ProbeResult):
    """Finite-time exponents of every sequence.

    Attributes:
        rates: the mean of log |R_ii| over time, largest first.
        steps: number of steps averaged.
        bounded: whether the core keeps its states within bounds.
        dimensions: of the state: the number of exponents there are; 0 in checkpoints that did not keep it.
        horizon: the lag in steps at which the past is needed; None where it is not known.
        autonomous: the rates of the network that runs on its own predictions (`study.probes.autonomous`); None: not
            asked for.
    """

    rates: Float[np.ndarray, "samples exponents"]
    steps: int
    bounded: bool
    dimensions: int = 0
    horizon: int | None = None
    autonomous: Float[np.ndarray, "samples exponents"] | None = None

    @property
    def exponents(self) -> Float[np.ndarray, " exponents"]:
        """The mean over sequences, nats a step."""
        return self.rates.mean(0)

    @property
    def errors(self) -> Float[np.ndarray, " exponents"]:
        """Standard errors over sequences; NaN for a single one, or where a direction is lost completely (-inf)."""
        if len(self.rates) < 2:
            return np.full(self.rates.shape[1], math.nan)
        with np.errstate(invalid="ignore"):
            return self.rates.std(0, ddof=1) / math.sqrt(len(self.rates))

    @property
    def log_condition(self) -> float:
        """The log of the condition number of the Jacobian product over `steps`, within the directions followed.

        Taken from the logarithms of R, because the product itself leaves the range of floats. NaN for one direction.
        """
        if len(self.exponents) < 2:
            return math.nan
        with np.errstate(invalid="ignore"):
            return float((self.exponents[0] - self.exponents[-1]) * self.steps)

    @property
    def near_zero(self) -> float:
        """How many of the directions followed neither die nor explode before the horizon: |lambda| <= 1 / horizon.

        What is written along them is still there when it is needed. NaN without a horizon.
        """
        if self.horizon is None or np.isnan(self.exponents).any():
            return math.nan
        return float((np.abs(self.exponents) <= 1 / self.horizon).sum())

    @property
    def dimension(self) -> float:
        """The Kaplan-Yorke dimension of the attractor; see `kaplan_yorke`."""
        return kaplan_yorke(self.exponents, self.dimensions)

    @classmethod
    def measure(cls, plan: LyapunovConfig, bptt: TruncatedBPTT, batch: Batch) -> "Lyapunov":
        """See `ProbeResult`."""
        found = lyapunov(bptt.model, batch, plan.exponents, plan.sequences, plan.horizon)
        if plan.autonomous is None:
            return found
        inputs = batch.inputs[:, : plan.sequences]
        rates = autonomous_exponents(bptt.model, inputs, bptt.loss.predict, plan.autonomous, plan.exponents)
        return replace(found, autonomous=rates.cpu().numpy())

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; what follows from all exponents together is in the table alone."""
        alone = {} if self.autonomous is None else {"lyapunov/autonomous": float(self.autonomous[:, 0].mean())}
        return {"lyapunov/largest": float(self.exponents[0])} | alone

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every exponent."""
        order = np.arange(len(self.exponents))
        whole = {name: getattr(self, name) for name in ("log_condition", "near_zero", "dimension")}
        alone = {} if self.autonomous is None else {"autonomous": self.autonomous.mean(0)}
        return {"order": order, "exponent": self.exponents, "error": self.errors} | whole | alone


def kaplan_yorke(exponents: Float[np.ndarray, " exponents"], dimensions: int) -> float:
    """D = j + (lambda_1 + .. + lambda_j) / |lambda_{j+1}|, j the most whose sum is not below 0 (Kaplan & Yorke 1979).

    Volumes of up to j dimensions do not shrink; D goes on between j and j + 1 in proportion. 0 where all states meet.

    Args:
        exponents: the largest ones, largest first.
        dimensions: of the state. D is that if no volume shrinks, and NaN if too few exponents were followed to tell.
    """
    sums = np.cumsum(exponents)
    if np.isnan(sums).any():
        return math.nan
    shrunk = np.flatnonzero(sums < 0)
    if not len(shrunk):
        return float(dimensions) if len(exponents) == dimensions else math.nan
    whole = int(shrunk[0])
    return whole + float(sums[whole - 1] / abs(exponents[whole])) if whole else 0.0


def lyapunov(
    model: RecurrentModel, batch: Batch, exponents: int | None, sequences: int, horizon: int | None = None
) -> Lyapunov:
    """Follow real sequences of the task through the model, without dropout.

    Args:
        model: measured as it is.
        batch: its first sequences that are long enough are followed, from the initial state on.
        exponents: number of exponents, the largest ones; None: all (as many as the state has dimensions).
        sequences: largest number of sequences.
        horizon: kept beside the exponents.
    """
    steps = reachable(batch) + 1
    chosen = (batch.lengths >= steps).nonzero()[:sequences, 0].to(batch.inputs.device)
    with evaluating(model):
        with torch.no_grad():
            encoded = model.encode(batch.inputs[:steps, chosen])
            start = flatten(model.core.initial_state(encoded))
        path = chain(model.core, encoded, start, 1)

        def transposed(t: int, directions: Tensor) -> Tensor:
            return transposed_product(path[t].nodes[-1], path[t].entry, directions)

        size = sum(part.shape[-1] for part in start)
        rates, kept = exponents_by_qr(transposed, steps, len(chosen), size, min(exponents or size, size), encoded)
    return Lyapunov(rates.cpu().numpy(), kept, model.core.bounded, size, horizon)
