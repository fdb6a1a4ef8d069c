"""Adaptive gradient clipping: the gradient of a unit is held to a share of its weights (Brock et al. 2021)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from study.columns import SHARE
from study.learning.clipping.contract import Clip, Clipped, norms, share, within


class AGC(Clip):
    """g_u <- g_u min(1, ratio max(||w_u||, eps) / ||g_u||) for every unit u (arXiv 2102.06171, equation 3).

    A unit is a row: the weights that enter one unit or gate, the vector of one token; a bias is one unit as a whole.
    With plain descent at the rate eta no unit then moves by more than eta ratio of its length in an update. The paper
    leaves the last layer unclipped; here the head is clipped as all else. A bias that starts at 0 is held to
    ratio eps: it hardly moves under plain descent. Recorded: the share of units clipped.

    Args:
        ratio: lambda, above 0; the paper's are .01 to .16.
        eps: least norm of weights that counts, so that weights at 0 can leave it.
    """

    records = (SHARE,)

    def __init__(self, ratio: float = 0.01, eps: float = 1e-3):
        self.ratio, self.eps = ratio, eps

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """See `Clip`."""
        before = norms(gradients)
        scales = [self._scale(g, w) for g, w in zip(gradients, parameters, strict=True)]
        torch._foreach_mul_(gradients, [s.to(g.dtype) for s, g in zip(scales, gradients, strict=True)])
        cut = share(torch.cat([scale.flatten() for scale in scales]))
        total, applied = torch.linalg.vector_norm(before), torch.linalg.vector_norm(norms(gradients))
        return Clipped(before, total, applied, {SHARE: cut})

    def _scale(self, gradient: Tensor, weights: Tensor) -> Float[Tensor, "..."]:
        """By unit, in a shape that the gradient can be multiplied with."""
        return within(_by_unit(gradient), self.ratio * _by_unit(weights).clamp(min=self.eps))


def _by_unit(tensor: Tensor) -> Float[Tensor, "..."]:
    """The norm over all but the first dimension; of a vector over all of it."""
    over = tuple(range(min(1, tensor.ndim - 1), tensor.ndim))
    return torch.linalg.vector_norm(tensor, dim=over, keepdim=True, dtype=torch.float64)
