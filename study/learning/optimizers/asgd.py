"""Averaged SGD: w <- w - lr g, and abar_n = mean of w from update t0 on (Polyak & Juditsky 1992).

The mean is the network: what is validated, tested and left at the end (`study.learning.optimizers.averages`). torch's
own `ASGD` with lambd = 0, which the averaged language models use (Merity, Keskar & Socher 2017, arXiv 1708.02182), has
the same iterates and the same mean; but it waits for the device at every update, and takes a rate that a schedule
changes one update late.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD
from torch.optim.swa_utils import get_swa_multi_avg_fn

from study.learning.optimizers.averages import AVERAGE


class AveragedSGD(SGD):
    """Keeps the mean of every parameter in its state, under the name that torch's ASGD gives it.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        t0: number of the first update (from 1) whose weights count.
        weight_decay: added to the gradient, times the weight.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float, t0: int = 1, weight_decay: float = 0.0
    ):
        super().__init__(params, lr, weight_decay=weight_decay)
        self.param_groups[0].update(t0=t0, done=0)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make a step, and count its weights once `t0` is reached."""
        super().step()
        first = self.param_groups[0]
        first["done"] += 1
        if (counted := first["done"] - first["t0"]) >= 0:
            parameters = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
            for parameter in parameters if counted == 0 else ():
                self.state[parameter][AVERAGE] = parameter.clone()
            means = [self.state[parameter][AVERAGE] for parameter in parameters]
            get_swa_multi_avg_fn()(means, parameters, counted)
