"""How recurrent weights start."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Start = Literal["orthogonal", "uniform"]


@torch.no_grad()
def initialise_recurrent(core: nn.RNNBase, start: Start, gain: float) -> None:
    """Draw every W_hh anew, gate by gate: orthogonal times gain, or uniform in +-gain / sqrt(hidden).

    An orthogonal W_hh keeps every norm: the linear network's gradient neither shrinks nor grows (Saxe et al. 2014).
    """
    for name, weight in core.named_parameters():
        if name.startswith("weight_hh"):
            for block in weight.split(core.hidden_size):
                _draw(block, start, gain)


def _draw(block: Tensor, start: Start, gain: float) -> None:
    if start == "orthogonal":
        nn.init.orthogonal_(block, gain=gain)
    else:
        bound = gain / math.sqrt(block.shape[1])
        nn.init.uniform_(block, -bound, bound)
