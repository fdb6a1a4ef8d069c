r"""DeltaNet: S_t = S_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, h_t = S_t q_t, the delta rule as a recurrence.

What S holds under the key k is replaced by v, the more so the nearer beta is to 1; what it holds under keys orthogonal
to k stays (Schlag, Irie & Schmidhuber 2021, arXiv 2102.11174; with normalised keys Yang et al. 2024, arXiv
2406.06484). I - beta k k^T has the eigenvalue 1 - beta along k, and 1 elsewhere.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.cell import Cell
from study.models.contract import Activations, State


class DeltaNet(Cell):
    """One head: S is a matrix (hidden_size, key_size); v, k, q and beta = sigmoid from the input alone.

    k and q are divided by their norms. Unlike in the papers, k, q and v have a bias: features, unlike embeddings, may
    all be zero, and then there would be no key, and nothing read. With `negative`, beta is twice the sigmoid, so that
    1 - beta is in (-1, 1): a write can also flip the sign of what is there, without which no such network counts
    parity (Grazzi et al. 2024, arXiv 2411.12537).

    Left out of the papers' blocks: the short convolutions, the SiLU on q, k and v, the normalisation and gate of the
    output, and further heads. The steps are a loop: the state is not diagonal.

    Args:
        features: of an input step.
        hidden_size: units, the width of v.
        key_size: width of k and q: so many orthogonal keys hold a value each.
        negative: whether 1 - beta reaches from -1 to 1; else from 0 to 1.
    """

    state_parts = ("h", "S")
    memory = "S"

    def __init__(self, features: int, hidden_size: int, key_size: int = 8, negative: bool = False):
        super().__init__(features, hidden_size)
        self.key_size, self.reach = key_size, 2.0 if negative else 1.0
        self.W = nn.Linear(features, hidden_size + 2 * key_size)
        self.beta = nn.Linear(features, 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """See `Cell`; S row after row."""
        return self.hidden_size, self.hidden_size * self.key_size

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; v, k, q and the sigmoid, end to end."""
        v, k, q = self.W(inputs).split((self.hidden_size, self.key_size, self.key_size), -1)
        k, q = functional.normalize(k, dim=-1), functional.normalize(q, dim=-1)
        return torch.cat([v, k, q, self.beta(inputs).sigmoid()], -1)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        v, k, q, write = self._parts(inputs)
        missing = v - self._read(state[1], k)
        added = (self.reach * write * missing)[..., None] * k[..., None, :]
        after = state[1] + added.flatten(-2)
        return self._read(after, q), after

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; the sigmoid behind beta."""
        return Activations(gates={"write": self._parts(inputs)[3]})

    def _read(self, memory: Tensor, key: Tensor) -> Tensor:
        """S times a key."""
        return (memory.unflatten(-1, (self.hidden_size, self.key_size)) @ key[..., None]).squeeze(-1)

    def _parts(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs.split((self.hidden_size, self.key_size, self.key_size, 1), -1)
