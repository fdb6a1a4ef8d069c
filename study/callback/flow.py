"""Gradient flow through a recurrent layer of somebody else's network, from one update of its training.

The loss is not known here, only the gradient that it sends into what leaves the layer. So the flow is that of the last
step of every sequence that gets such a gradient: later steps send none, so it is the gradient of that step's loss alone
(where other layers stand between, of all the losses that read the layer there). Without dropout between its layers.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from study.callback.calls import LayerPassage, NotMeasured
from study.models import Core, State
from study.models.stepping import evaluating, flatten, step
from study.probes.flow import Flow, flow_from_the_end
from study.probes.path import SEGMENT, chain

LAGS = 60
"""Lags measured, as in `conf/probe`; up to the horizon if that is further, and fewer where sequences are shorter."""


def flow_of(core: Core, passage: LayerPassage, lags: int) -> Flow:
    """Measure the flow on one passage; parameters, their gradients and the random state stay as they are.

    Args:
        core: the layer, see `study.callback.layers.as_core`.
        passage: through it.
        lags: the largest one, if at least half of the sequences are longer than that; else the length of most of them.

    Raises:
        NotMeasured: the loss does not reach what leaves the layer.
    """
    inputs, own = (part.to(next(core.parameters()).dtype) for part in (passage.inputs, passage.own))
    reached = (own != 0).any(-1)  # also where it is NaN
    steps = torch.arange(len(own), device=own.device)[:, None]
    last = torch.where(reached, steps, -1).amax(0)
    if not (last >= 0).any():
        raise NotMeasured("the loss does not reach what leaves the layer")
    lags = min(lags, int(last[last >= 0].median()))
    with evaluating(core):
        before = _entering(core, inputs, passage.entry, (last - lags).clamp(min=0))
        samples = torch.nonzero(last >= lags)[:, 0]
        places = last[samples] - lags + torch.arange(lags + 1, device=own.device)[:, None]
        segments = chain(core, inputs[places, samples], [part[samples] for part in before], SEGMENT)
        return flow_from_the_end(core, segments, own[last[samples], samples][None])


@torch.no_grad()
def _entering(
    core: Core, inputs: Float[Tensor, "time batch features"], entry: State | None, starts: Int[Tensor, " batch"]
) -> list[Tensor]:
    """The state of every sequence before its own start, one tensor a layer and part, lowest layer first."""
    state = flatten(core.initial_state(inputs) if entry is None else entry)
    found = state
    for number, entering in enumerate(inputs[: int(starts.max())], 1):
        state = step(core, entering, state)
        here = (starts == number)[:, None]
        found = [torch.where(here, new, old) for new, old in zip(state, found, strict=True)]
    return found
