"""What an update needs of memory: the bytes that autograd keeps for the backward pass of one window."""

import torch

from study.learning.bptt import windows
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.tasks.contract import Batch


def kept_for_backward(model: RecurrentModel, loss: Loss, batch: Batch, k1: int | None, k2: int | None) -> int:
    """Bytes of all tensors that the graph of a window of `k2` steps holds, parameters and the batch itself left out.

    Args:
        model: as it trains.
        loss: what is minimised.
        batch: the longest window of it counts.
        k1: see `study.learning.bptt`.
        k2: see `study.learning.bptt`.
    """
    window = max(windows(batch.longest, k1, k2), key=lambda w: w.stop - w.start)
    held = {p.untyped_storage().data_ptr() for p in (*model.parameters(), batch.inputs, batch.targets)}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs, _ = model(batch.inputs[window.start : window.stop], None)
        part = batch.between(window.first, window.stop)
        graph = loss.total(outputs[window.first - window.start :], part.targets, part.mask)
        assert graph.requires_grad  # and holds everything until here, so that no place is used twice
    return sum(size for place, size in kept.items() if place not in held)
