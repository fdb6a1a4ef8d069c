"""Linear recurrent unit: x_t = lambda x_{t-1} + gamma B u_t, h_t = Re(C x_t) + D u_t (Orvieto et al. 2023)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from study.models.contract import State
from study.models.scan import Diagonal

LEAST = 1e-6
"""The smallest uniform draw: logarithms are taken of it."""


class LRU(Diagonal):
    """Complex and diagonal: lambda = exp(-exp(nu) + i exp(theta)), so that always |lambda| < 1.

    As in arXiv 2303.06349, sections 3.2 to 3.4: lambda starts uniform on a ring, r_min <= |lambda| <= r_max, its angle
    between 0 and max_phase; gamma starts as sqrt(1 - |lambda|^2) and is learnt by its logarithm; B, C and D are normal.
    The ring of the paper's code reaches from 0 to 1; this one is of long memories. There are as many complex entries
    as units. D is a matrix, because what enters may differ in width from what leaves.

    Left out of the paper's block: the normalisation before, the nonlinear unit (GLU) after, and the connection past
    both. One layer is linear from end to end; stacked layers too.

    Args:
        features: of an input step.
        hidden_size: units, and complex entries of x.
        r_min: smallest |lambda| at the start.
        r_max: largest.
        max_phase: largest angle of lambda at the start, in radians a step.
    """

    state_parts = ("h", "x")
    memory = "x"
    recurrent = ("nu", "theta")

    def __init__(
        self, features: int, hidden_size: int, r_min: float = 0.9, r_max: float = 0.999, max_phase: float = 6.283
    ):
        super().__init__(features, hidden_size)
        share, turn = torch.empty(2, hidden_size).uniform_(LEAST, 1.0)
        squares = share * (r_max**2 - r_min**2) + r_min**2
        self.nu = nn.Parameter((-0.5 * squares.log()).log())
        self.theta = nn.Parameter((max_phase * turn).log())
        self.gamma = nn.Parameter(0.5 * (-squares).log1p())
        self.B = nn.Parameter(torch.randn(2 * hidden_size, features) / math.sqrt(2 * features))
        self.C = nn.Parameter(torch.randn(hidden_size, 2 * hidden_size) / math.sqrt(hidden_size))
        self.D = nn.Parameter(torch.randn(hidden_size, features) / math.sqrt(features))

    @property
    def widths(self) -> tuple[int, ...]:
        """See `Cell`; all real parts of x, then all imaginary ones."""
        return self.hidden_size, 2 * self.hidden_size

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; gamma B u and D u, end to end."""
        scaled = self.gamma.exp().repeat(2)[:, None] * self.B
        return inputs @ torch.cat([scaled, self.D]).T

    def terms(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Diagonal`; lambda is the same at every step."""
        entering = torch.complex(*inputs[..., : 2 * self.hidden_size].chunk(2, -1))
        return torch.complex(*self._factors()).expand_as(entering), entering

    def after(self, memory: Tensor, inputs: Tensor) -> State:
        """See `Diagonal`; a row of C holds real parts, then imaginary ones with their sign changed."""
        return memory @ self.C.T + inputs[..., 2 * self.hidden_size :], memory

    def blocks(self) -> Iterator[Tensor]:
        """See `Cell`; lambda as it acts on real and imaginary parts."""
        real, imaginary = self._factors()
        turned = torch.diag(imaginary)
        yield torch.cat([torch.cat([torch.diag(real), -turned], 1), torch.cat([turned, torch.diag(real)], 1)])

    def _factors(self) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of lambda."""
        modulus, angle = (-self.nu.exp()).exp(), self.theta.exp()
        return modulus * angle.cos(), modulus * angle.sin()
