"""Soft orthogonality: alpha sum over blocks ||W^T W - I||_F^2 (Vorontsov et al. 2017, arXiv 1702.00071, section 4.2).

An orthogonal matrix keeps the norm of every gradient that goes through it; what the activations and gates around it do
is not looked at. Of cells with gates every gate's matrix is a block. Its gradient is 4 alpha W (W^T W - I).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from study.errors import ConfigError
from study.learning.losses import Loss
from study.learning.regularizers.contract import Passage, Regularizer
from study.models import Core, RecurrentModel


class Orthogonality(Regularizer):
    """alpha sum ||W^T W - I||_F^2 over the square matrices that take the state to the next step.

    Args:
        alpha: its weight beside the loss.
    """

    def __init__(self, alpha: float):
        self._alpha = alpha

    def refuse(self, model: RecurrentModel, inputs: Tensor) -> None:
        """See `Regularizer`; there must be a square recurrent matrix."""
        if not _matrices(model):
            raise ConfigError(
                "regularizer.name = 'orthogonality': this model has no square recurrent matrices that could be "
                "orthogonal; allowed: a cell that has some, or another regularizer"
            )

    def penalty(self, model: RecurrentModel, loss: Loss, passage: Passage) -> Float[Tensor, ""]:
        """See `Regularizer`."""
        squares = []
        for matrix in _matrices(model):
            identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
            squares.append((matrix.T @ matrix - identity).square().sum())
        return self._alpha * torch.stack(squares).sum()


def _matrices(model: RecurrentModel) -> list[Tensor]:
    """All blocks, also those of a core that reads backwards."""
    cores = [core for core in (model.core, model.reverse) if isinstance(core, Core)]
    return [block.matrix for core in cores for block in core.recurrent_blocks()]
