r"""Truncation bias: how far the gradient of truncated BPTT lies from that of full BPTT, on one frozen batch.

For every k2 of a list, g being the full gradient of the same loss over all parameters, and updates as far apart as in
training (k1; plain blocks, k1 = k2, if training has no k1 of its own):

    cosine = <g_k2, g> / (||g_k2|| ||g||),    relative error delta = ||g_k2 - g|| / ||g||,

the relative bias of Aicher, Foti & Fox 2019 (arXiv 1905.07473), on this batch; SGD still converges while delta < 1.
Their bound on it, theorem 1: a truncated gradient lacks the terms of all lags k beyond a loss's reach, each no longer
than M phi_k, phi being the gradient flow (`study.probes.flow`, all layers together) and M a bound on
|| d x_t / d theta || of a single step, so that

    delta <= bound = M sum_k n_k phi_k / ||g||,    n_k the share of losses that lag k is cut off from.

Here phi is measured, not extrapolated, up to the length of most sequences (beyond that it goes on at its decay rate);
and M, which cannot be known, is the smallest that the measured gradients allow: the largest || g_a - g_b || over
sum_k (n_k^a - n_k^b) phi_k of neighbouring lengths a < b, the last b being full BPTT.

The bias is zero at k2 = T. At the start of training, when outputs do not yet depend on the past, it is about zero
for every k2 and says nothing. A small bias does not promise learning either: the missing part of the gradient may be
the one that matters. `experiments/truncation_bias` shows both.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from study.learning.bptt import TruncatedBPTT, windows
from study.probes.flow import Profile, gradient_flow
from study.probes.gradients import columns, gradient
from study.probes.result import ProbeResult
from study.schema.probe import TruncationConfig
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Truncation(ProbeResult):
    """Bias by truncation length.

    Attributes:
        k2: truncation lengths, the shortest first.
        cosine: between the whole batch's gradients.
        error: delta of the whole batch's gradients.
        bound: upper bound on `error`.
        cosines: for every part of the batch alone.
        errors: for every part of the batch alone.
    """

    k2: list[int]
    cosine: Float[np.ndarray, " lengths"]
    error: Float[np.ndarray, " lengths"]
    bound: Float[np.ndarray, " lengths"]
    cosines: Float[np.ndarray, "lengths parts"]
    errors: Float[np.ndarray, "lengths parts"]

    @classmethod
    def measure(cls, plan: TruncationConfig, bptt: TruncatedBPTT, batch: Batch) -> "Truncation":
        """See `ProbeResult`."""
        return truncation_bias(bptt, batch, plan.k2, plan.parts)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; the error of the shortest truncation."""
        return {"truncation/error": float(self.error[0])}

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every k2, with mean and standard deviation over the parts of the batch."""
        means = {"cosine_mean": self.cosines.mean(1), "error_mean": self.errors.mean(1)}
        spreads = {"cosine_spread": self.cosines.std(1), "error_spread": self.errors.std(1)}
        whole = {"k2": self.k2, "cosine": self.cosine, "error": self.error, "bound": self.bound}
        return whole | means | spreads


def truncation_bias(bptt: TruncatedBPTT, batch: Batch, lengths: Sequence[int], parts: int) -> Truncation:
    """Compare truncated gradients with the full one.

    Args:
        bptt: what trains.
        batch: sequences from their initial state on.
        lengths: values of k2; training's own is added. Those beyond the length of the sequences are full BPTT.
        parts: number of groups of sequences that are also measured alone.
    """
    model, loss, width = bptt.model, bptt.loss, batch.targets.shape[1]
    k2s = sorted({*lengths, *([bptt.k2] if bptt.k2 else [])})
    bounds = np.linspace(0, width, min(parts, width) + 1).astype(int)
    pieces = [columns(batch, int(a), int(b)) for a, b in itertools.pairwise(bounds)]
    gradients = torch.stack(
        [torch.stack([gradient(model, loss, piece, bptt.k1, k2) for piece in pieces]) for k2 in k2s]
        + [torch.stack([gradient(model, loss, piece) for piece in pieces])]
    )
    weights = torch.tensor([float(loss.normaliser(p.targets.shape[1], p.steps)) for p in pieces])
    whole = torch.einsum("kpn,p->kn", gradients, (weights / weights.sum()).to(gradients))
    cosine, error = _compare(whole[:-1, None], whole[-1:])
    cosines, errors = _compare(gradients[:-1], gradients[-1])
    flow = gradient_flow(model, loss, batch, batch.longest - 1, width).joint
    bound = _bound(whole, [missing(flow, batch, bptt.k1, k2) for k2 in (*k2s, None)])
    return Truncation(k2s, cosine[:, 0], error[:, 0], bound, cosines, errors)


def missing(flow: Profile, batch: Batch, k1: int | None, k2: int | None) -> float:
    """The sum of phi_k over all lags that truncation cuts off, over all losses of a batch."""
    plan, step = windows(batch.longest, k1, k2), np.arange(batch.longest)
    start = np.array([next(w.start for w in plan if w.first <= s < w.stop) for s in step])
    losses = np.full(batch.longest, batch.targets.shape[1])
    if batch.mask is not None:
        losses = batch.mask[: batch.longest].sum(1).cpu().numpy()
    lag = step[:, None]
    cut = ((lag > step - start) & (lag <= step)) @ losses
    # Lags longer than most sequences are not measured: beyond them phi goes on at its decay rate, and never grows.
    measured = len(flow.log_norms)
    with np.errstate(all="ignore"):  # a flow that is not finite has no finite bound
        beyond = flow.log_phi[-1] + (step - measured + 1) * min(flow.decay, 0.0)
        phi = np.exp(np.where(step < measured, flow.log_phi[np.minimum(step, measured - 1)], beyond))
        return float((cut * phi)[cut > 0].sum())


def _bound(gradients: Float[torch.Tensor, "more parameters"], tails: list[float]) -> Float[np.ndarray, " lengths"]:
    """The bound at every length but the last, which is full BPTT, from the gradients and the flow missing at each."""
    turned = (gradients[1:] - gradients[:-1]).norm(dim=-1).cpu().numpy()
    tail = np.array(tails)
    # M cannot be known: take the smallest that explains how far the gradient turns from each length to the next.
    with np.errstate(all="ignore"):
        factor = np.where(tail[:-1] > tail[1:], turned / (tail[:-1] - tail[1:]), 0.0).max()
        return factor * tail[:-1] / float(gradients[-1].norm())


def _compare(
    truncated: Float[torch.Tensor, "lengths parts parameters"], full: Float[torch.Tensor, "parts parameters"]
) -> tuple[Float[np.ndarray, "lengths parts"], Float[np.ndarray, "lengths parts"]]:
    """Cosine and relative error of every truncated gradient with its full one."""
    cosine = torch.cosine_similarity(truncated, full, dim=-1, eps=0.0)
    error = (truncated - full).norm(dim=-1) / full.norm(dim=-1)
    return cosine.cpu().numpy(), error.cpu().numpy()
