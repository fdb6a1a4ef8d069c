"""Members that only tests have, each with something that no member of the registries has."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from study.learning.clipping import Clip, Clipped
from study.learning.clipping.contract import norms
from study.models import State
from study.models.elman import Elman


class AutoClip(Clip):
    """Clips to a percentile, `threshold`, of all norms so far (Seetharaman et al. 2020): a policy with a state."""

    def __init__(self, threshold: float):
        self._share = threshold / 100
        self.seen: Tensor | None = None

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        before = norms(gradients)
        total = torch.linalg.vector_norm(before)
        self.seen = total[None] if self.seen is None else torch.cat([self.seen, total[None]])
        limit = torch.quantile(self.seen, self._share)
        scale = torch.where(total > limit, limit / total, torch.ones_like(total))
        torch._foreach_mul_(gradients, scale.to(gradients[0].dtype))
        return Clipped(before, total, total * scale)

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seen = state["seen"]


class LearntStart(Elman):
    """An Elman network whose first state is learnt: only windows that start a sequence have a gradient for it."""

    def __init__(self, features: int, hidden_size: int, num_layers: int = 1, **options: Any):
        super().__init__(features, hidden_size, num_layers, **options)
        self.start = nn.Parameter(torch.zeros(num_layers, 1, hidden_size))

    def initial_state(self, inputs: Tensor) -> State:
        return (self.start.expand(-1, inputs.shape[1], -1).contiguous(),)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        return super().forward(inputs, self.initial_state(inputs) if state is None else state)
