r"""Truncation bias: how far the gradient of truncated BPTT lies from that of full BPTT, on one frozen batch.

For every k2 of a list (plain blocks, k1 = k2), g being the full gradient of the same loss over all parameters:

    cosine = <g_k2, g> / (||g_k2|| ||g||),    relative error delta = ||g_k2 - g|| / ||g||,

the relative bias of Aicher, Foti & Fox 2019 (arXiv 1905.07473), on this batch; SGD still converges while delta < 1.

Zero at k2 = T. About zero at the start of training whatever k2, where outputs do not yet depend on the past; and a
small bias does not promise learning: the part of the gradient that is missing may be the one that matters.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from study.bptt import TruncatedBPTT
from study.probes.gradients import Rehearsal, columns
from study.probes.measured import Measured
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Truncation(Measured):
    """Bias by truncation length.

    Attributes:
        k2: truncation lengths.
        cosine: of the whole batch's gradients.
        error: delta of the whole batch's gradients.
        cosines: of every part of the batch alone.
        errors: likewise.
    """

    k2: list[int]
    cosine: Float[np.ndarray, " lengths"]
    error: Float[np.ndarray, " lengths"]
    cosines: Float[np.ndarray, "lengths parts"]
    errors: Float[np.ndarray, "lengths parts"]

    def scalars(self) -> dict[str, float]:
        """See `Measured`; at the shortest truncation."""
        return {"truncation/error": float(self.error[int(np.argmin(self.k2))])}

    def columns(self) -> dict[str, Any]:
        """See `Measured`; a row for every k2, with mean and standard deviation over the parts of the batch."""
        means = {"cosine_mean": self.cosines.mean(1), "error_mean": self.errors.mean(1)}
        spreads = {"cosine_spread": self.cosines.std(1), "error_spread": self.errors.std(1)}
        return {"k2": self.k2, "cosine": self.cosine, "error": self.error} | means | spreads


def truncation_bias(bptt: TruncatedBPTT, batch: Batch, lengths: Sequence[int], parts: int) -> Truncation:
    """Compare truncated gradients with the full one.

    Args:
        bptt: what trains.
        batch: sequences from a zero state on.
        lengths: values of k2; those beyond the length of the sequences are full BPTT.
        parts: groups of sequences that are looked at alone too.
    """
    rehearsal, width = Rehearsal(bptt), batch.targets.shape[1]
    bounds = np.linspace(0, width, min(parts, width) + 1).astype(int)
    pieces = [columns(batch, int(a), int(b)) for a, b in itertools.pairwise(bounds)]
    gradients = torch.stack(
        [torch.stack([rehearsal.gradient(piece, k2) for piece in pieces]) for k2 in (*lengths, None)]
    )
    weights = torch.tensor([float(bptt.loss.normaliser(p.targets.shape[1], p.steps)) for p in pieces])
    whole = torch.einsum("kpn,p->kn", gradients, (weights / weights.sum()).to(gradients))
    cosine, error = _compare(whole[:-1, None], whole[-1:])
    cosines, errors = _compare(gradients[:-1], gradients[-1])
    return Truncation(list(lengths), cosine[:, 0], error[:, 0], cosines, errors)


def _compare(
    truncated: Float[torch.Tensor, "lengths parts parameters"], full: Float[torch.Tensor, "parts parameters"]
) -> tuple[Float[np.ndarray, "lengths parts"], Float[np.ndarray, "lengths parts"]]:
    """Cosine and relative error of every truncated gradient with its full one."""
    cosine = torch.cosine_similarity(truncated, full, dim=-1, eps=0.0)
    error = (truncated - full).norm(dim=-1) / full.norm(dim=-1)
    return cosine.cpu().numpy(), error.cpu().numpy()
