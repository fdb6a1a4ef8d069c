"""How recurrent weights start."""

import math

import torch
from torch import Tensor, nn

from study.schema import model as schema


@torch.no_grad()
def initialise_recurrent(core: nn.RNNBase, config: schema.Recurrent) -> None:
    """Draw every W_hh anew, gate by gate: orthogonal times gain, or uniform in +-gain / sqrt(hidden).

    An orthogonal W_hh keeps every norm: the linear network's gradient neither shrinks nor grows (Saxe et al. 2014).
    """
    for name, weight in core.named_parameters():
        if name.startswith("weight_hh"):
            for block in weight.split(core.hidden_size):
                _draw(block, config)


def _draw(block: Tensor, config: schema.Recurrent) -> None:
    if config.recurrent_init == "orthogonal":
        nn.init.orthogonal_(block, gain=config.gain)
    else:
        bound = config.gain / math.sqrt(block.shape[1])
        nn.init.uniform_(block, -bound, bound)
