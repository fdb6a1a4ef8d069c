r"""Sharpness: the largest curvature of the loss, beside the one at which this optimizer's step is too long.

    lambda_max(H) rate  against  2,    H the Hessian of the frozen batch's loss in all trainable parameters.

Along a direction of curvature lambda, gradient descent multiplies the distance from the minimum by 1 - rate lambda:
above 2 it leaves. Training drives the product up to 2 and hovers there, the edge of stability (Cohen et al. 2021,
arXiv 2103.00065). With momentum b the limit is 2 (1 + b), with Nesterov's 2 (1 + b) / (1 + 2 b). Adam divides every
gradient by P = sqrt(v) + epsilon, so for Adam it is lambda_max(P^-1 H), and the limit 2 (1 + b1) / (1 - b1), which is
38 for b1 = .9 (Cohen et al. 2022, arXiv 2207.14484). Weight decay adds itself to every curvature of H; AdamW's, which
is not divided by P, to those of P^-1 H. Clipped updates are shorter than `rate` says; so the product is an upper bound
on theirs. One batch is sharper than the whole data.

By Lanczos' method on Hessian-vector products, two backward passes each: the same products as power iteration, but all
of them are used, so fewer do where neighbouring eigenvalues are close (`residual` says how far off the result may be),
and the most negative curvature, which power iteration may end on, is recognised.

Activations: loss per squared unit of weight, times squared units of weight per loss.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import SGD, Optimizer

from study.learning.bptt import TruncatedBPTT
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.models.stepping import evaluating
from study.probes.gradients import flat
from study.probes.result import ProbeResult
from study.schema.probe import SharpnessConfig
from study.tasks.contract import Batch

Product = Callable[[Float[Tensor, " parameters"]], Float[Tensor, " parameters"]]
"""v -> A v, A symmetric."""


@dataclass(frozen=True)
class Sharpness(ProbeResult):
    """Of the Hessian as the optimizer sees it: P^-1 H for Adam, else H.

    Attributes:
        largest: its largest eigenvalue; NaN for Adam before its first update, which has no P yet.
        smallest: its smallest eigenvalue.
        residual: some eigenvalue is no further than this from `largest`.
        rate: the learning rate.
        limit: what `largest` times `rate` must stay below; NaN for an optimizer whose limit is not known.
    """

    largest: float
    smallest: float
    residual: float
    rate: float
    limit: float

    @property
    def product(self) -> float:
        """The learning rate times the largest eigenvalue."""
        return self.rate * self.largest

    @property
    def of_limit(self) -> float:
        """The product as a share of its limit: at 1 the step is as long as this curvature allows."""
        return self.product / self.limit

    @classmethod
    def measure(cls, plan: SharpnessConfig, bptt: TruncatedBPTT, batch: Batch) -> "Sharpness":
        """See `ProbeResult`."""
        return sharpness(bptt, batch, plan.iterations)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`."""
        return {"sharpness/of_limit": self.of_limit}

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; one row."""
        fields = {name: [getattr(self, name)] for name in ("largest", "smallest", "residual", "rate", "limit")}
        return fields | {"product": [self.product], "of_limit": [self.of_limit]}


def sharpness(bptt: TruncatedBPTT, batch: Batch, iterations: int) -> Sharpness:
    """Measure it by full BPTT, without dropout, from the initial state on.

    Args:
        bptt: what trains.
        batch: whose loss is curved.
        iterations: number of Hessian-vector products.
    """
    parameters: list[Tensor] = [p for p in bptt.model.parameters() if p.requires_grad]
    scale, limit = _seen(bptt.optimizer, parameters)
    root, decay = scale.rsqrt(), _decay(bptt.optimizer, parameters, scale)
    with evaluating(bptt.model):
        product = hessian_product(bptt.model, bptt.loss, batch)
        # P^-1/2 H P^-1/2 has the eigenvalues of P^-1 H and is symmetric. A gradient that is divided before it is used
        # is that of a loss divided as much.
        divisor = bptt.loss.divisor
        found = lanczos(lambda v: root * (product(root * v) / divisor + decay * root * v), len(scale), iterations)
    return Sharpness(*found, rate=bptt.optimizer.param_groups[0]["lr"], limit=limit)


def hessian_product(model: RecurrentModel, loss: Loss, batch: Batch) -> Product:
    """The Hessian of a batch's loss in all trainable parameters, as a function of what it is multiplied with."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    outputs, _ = model(batch.inputs, None, batch.mask)
    mean = loss.total(outputs, batch.targets, batch.mask) / loss.normaliser(batch.targets.shape[1], batch.steps)
    slopes = torch.autograd.grad(mean, parameters, create_graph=True, allow_unused=True, materialize_grads=True)
    curved = [slope for slope in slopes if slope.requires_grad]  # the others are constants: no curvature

    def product(vector: Float[Tensor, " parameters"]) -> Float[Tensor, " parameters"]:
        if not curved:
            return torch.zeros_like(vector)
        pieces = vector.split([p.numel() for p in parameters])
        given = [v.view_as(s).to(s) for v, s in zip(pieces, slopes, strict=True) if s.requires_grad]
        second = torch.autograd.grad(
            curved, parameters, given, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return flat(second)

    return product


class Extremes(NamedTuple):
    """The largest and the smallest eigenvalue, and how far the first may be from a true one."""

    largest: float
    smallest: float
    residual: float


def lanczos(product: Product, size: int, iterations: int) -> Extremes:
    """Extreme eigenvalues of a symmetric matrix of `size` rows (Lanczos 1950, each vector cleared of all before)."""
    start = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vectors, diagonal, beside = [start / start.norm()], [], []
    for _ in range(min(iterations, size)):
        image = product(vectors[-1]).cpu()
        if not image.isfinite().all():
            return Extremes(math.nan, math.nan, math.nan)
        diagonal.append(float(vectors[-1] @ image))
        known = torch.stack(vectors)
        for _ in range(2):  # once is not enough in floating point
            image = image - known.T @ (known @ image)
        beside.append(float(image.norm()))
        if beside[-1] <= 1e-14 * max(map(abs, diagonal)):
            break
        vectors.append(image / beside[-1])
    return _extremes(torch.tensor(diagonal, dtype=torch.float64), torch.tensor(beside, dtype=torch.float64))


def _extremes(diagonal: Tensor, beside: Tensor) -> Extremes:
    tridiagonal = torch.diag(diagonal) + torch.diag(beside[:-1], 1) + torch.diag(beside[:-1], -1)
    values, vectors = torch.linalg.eigh(tridiagonal)
    return Extremes(float(values[-1]), float(values[0]), float((beside[-1] * vectors[-1, -1]).abs()))


def _seen(optimizer: Optimizer, parameters: list[Tensor]) -> tuple[Float[Tensor, " parameters"], float]:
    """What the optimizer divides every gradient by, and its limit."""
    group = optimizer.param_groups[0]
    ones = torch.ones(sum(p.numel() for p in parameters), dtype=torch.float64)
    if "betas" in group:
        first, second = group["betas"]
        limit = 2 * (1 + first) / (1 - first)
        kept = [optimizer.state.get(p, {}) for p in parameters]
        if not all("exp_avg_sq" in state for state in kept):
            return ones * math.nan, limit
        moments = [state["exp_avg_sq"] / (1 - second ** float(state["step"])) for state in kept]
        return flat([moment.sqrt() + group["eps"] for moment in moments]).cpu(), limit
    if not isinstance(optimizer, SGD):
        return ones, math.nan
    ahead = 1 + 2 * group["momentum"] if group["nesterov"] else 1.0
    return ones, 2.0 * (1 + group["momentum"]) / ahead


def _decay(
    optimizer: Optimizer, parameters: list[Tensor], scale: Float[Tensor, " parameters"]
) -> Float[Tensor, " parameters"]:
    """The curvature that weight decay adds to that of the loss, for every parameter; groups may differ in it."""
    strength: dict[Tensor, float] = {}
    for group in optimizer.param_groups:
        strength |= dict.fromkeys(group["params"], group.get("weight_decay", 0.0))
    decay = flat([torch.full_like(p, strength[p], dtype=torch.float64) for p in parameters]).cpu()
    return decay * scale if optimizer.param_groups[0].get("decoupled_weight_decay") else decay
