r"""Selective diagonal cell, S6: S_t = exp(Delta_t A) S_{t-1} + Delta_t B_t v_t (Gu & Dao 2023, arXiv 2312.00752).

With u what enters, unit i and entry n of its state:

    v = W_v u + b_v,   Delta = softplus(W_d u + b_d),   B = W_B u + b_B,   C = W_C u + b_C
    S[i, n] <- exp(Delta[i] A[i, n]) S[i, n] + Delta[i] B[n] v[i],   A < 0
    h[i] = sum over n of C[n] S[i, n] + D[i] v[i]
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.scan import Diagonal


class Selective(Diagonal):
    """Algorithm 2 of the paper, one layer: how long a unit remembers is for the input to say.

    As there: A starts as -1, -2, .., -state_size in every unit, D as ones, and b_d so that softplus(b_d) is
    log-uniform between `dt_min` and `dt_max`. An entry starts to forget after about 1 / (Delta |A|) steps.

    Left out of Mamba's block: the convolution and its SiLU before, the gated branch beside, the normalisation; and the
    low rank of W_d. The other biases are added: features, unlike embeddings, may all be zero, and then C would be too.

    Args:
        features: of an input step.
        hidden_size: units.
        state_size: entries of S for every unit.
        dt_min: smallest Delta at the start.
        dt_max: largest.
    """

    state_parts = ("h", "S")
    memory = "S"
    recurrent = ("log_A",)

    def __init__(
        self, features: int, hidden_size: int, state_size: int = 8, dt_min: float = 0.001, dt_max: float = 0.1
    ):
        super().__init__(features, hidden_size)
        self.state_size = state_size
        self.W = nn.Linear(features, 2 * hidden_size + 2 * state_size)
        steps = math.log(dt_min) + torch.rand(hidden_size) * (math.log(dt_max) - math.log(dt_min))
        with torch.no_grad():
            self.W.bias[hidden_size : 2 * hidden_size] = steps.exp().expm1().log()
        self.log_A = nn.Parameter(torch.arange(1.0, state_size + 1).log().repeat(hidden_size, 1))
        self.D = nn.Parameter(torch.ones(hidden_size))

    @property
    def widths(self) -> tuple[int, ...]:
        """See `Cell`; S unit after unit."""
        return self.hidden_size, self.hidden_size * self.state_size

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; v, Delta before its softplus, B and C."""
        return self.W(inputs)

    def terms(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Diagonal`."""
        v, delta, b, _ = self._parts(inputs)
        return self._kept(delta), ((delta * v)[..., None] * b[..., None, :]).flatten(-2)

    def after(self, memory: Tensor, inputs: Tensor) -> State:
        """See `Diagonal`."""
        v, _, _, c = self._parts(inputs)
        read = memory.unflatten(-1, (self.hidden_size, self.state_size)) @ c[..., None]
        return read.squeeze(-1) + self.D * v, memory

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; exp(Delta A) is between 0 and 1, and says of every entry of S how much stays."""
        return Activations(gates={"retention": self._kept(self._parts(inputs)[1])}, retention_gate="retention")

    def blocks(self) -> Iterator[Tensor]:
        """See `Cell`; none: what the state is multiplied with depends on the input."""
        return iter(())

    def _parts(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """v, Delta, B, C."""
        units, entries = self.hidden_size, self.state_size
        v, delta, b, c = inputs.split((units, units, entries, entries), -1)
        return v, functional.softplus(delta), b, c

    def _kept(self, delta: Tensor) -> Tensor:
        """exp(Delta A), unit after unit."""
        return (-delta[..., None] * self.log_A.exp()).exp().flatten(-2)
