"""A cell in which what is near in time and what is far pull one number in opposite directions.

For influence balancing (Tallec & Ollivier 2017, arXiv 1705.08209): `study.verify.influence` holds truncations of it
against a closed form, and `conf/experiment/adaptive_truncation.yaml` trains it as a cell of one's own.
"""

import torch
from torch import Tensor, nn

from study.models import Cell, State


class Chain(Cell):
    """h_t = A h_{t-1} + theta s, whatever enters, from h_0 = 1 on; unit 0 is what leaves it.

    A has 1/2 on the diagonal and above it; the sign s is + for the first units and - for all others.

    Args:
        features: of what enters; nothing is made of it.
        hidden_size: of what leaves, every feature the same.
        units: of the chain.
        positive: of them, those that theta enters with a plus.
        speed: theta is speed times its parameter, so that under SGD it moves speed^2 times as fast as a head, which
            could solve by itself what is asked of theta.
        start: theta before training.
    """

    state_parts = ("out", "h")
    memory = "h"
    sign: Tensor
    matrix: Tensor

    def __init__(
        self,
        features: int,
        hidden_size: int,
        units: int = 23,
        positive: int = 10,
        speed: float = 1.0,
        start: float = 0.5,
    ) -> None:
        super().__init__(features, hidden_size)
        self.units, self.speed = units, speed
        self.raw_theta = nn.Parameter(torch.tensor([start / speed]))
        self.register_buffer("sign", torch.cat([torch.ones(positive), -torch.ones(units - positive)]))
        self.register_buffer("matrix", 0.5 * (torch.eye(units) + torch.ones(units - 1).diag(1)))

    @property
    def theta(self) -> Tensor:
        """The number that enters the chain at every step."""
        return self.speed * self.raw_theta

    @property
    def widths(self) -> tuple[int, ...]:
        """See `Cell`."""
        return self.hidden_size, self.units

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        chain = state[1] @ self.matrix.T + self.theta * self.sign
        return chain[:, :1].expand(-1, self.hidden_size), chain

    def initial(self, inputs: Tensor) -> State:
        """See `Cell`; ones."""
        return tuple(inputs.new_ones(inputs.shape[0], width) for width in self.widths)
