"""Memory of an update: the bytes that autograd saves for the backward pass of one window."""

import math

import torch

from study.learning.bptt import stream_lengths, windows
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.models.unrolled import Watch, watched
from study.tasks.contract import Batch


def kept_for_backward(
    model: RecurrentModel,
    loss: Loss,
    batch: Batch,
    k1: int | None,
    k2: int | None,
    stream: int | None = None,
    watch: Watch | None = None,
) -> int:
    """Bytes of all tensors saved in the graph of the longest window of a batch, without the parameters and the batch.

    Args:
        model: in the mode it is in; dropout saves its masks in training mode only.
        loss: what is minimised.
        batch: sequences.
        k1: see `study.learning.bptt`.
        k2: see `study.learning.bptt`.
        stream: see `study.learning.bptt.TruncatedBPTT`. A window that reaches back across batches is as long as k2: the
            batch then stands for the ones before it too.
        watch: sees every state, see `study.models.unrolled`.
    """
    if stream is not None:
        k1, k2 = stream_lengths(k1, k2, stream)
        batch = repeated(batch, math.ceil(k2 / batch.longest))
    window = max(windows(batch.longest, k1, k2), key=lambda w: w.stop - w.start)
    given = {p.untyped_storage().data_ptr() for p in (*model.parameters(), batch.inputs, batch.targets)}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # an output that is kept as it is keeps its own graph, for ever

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs, _ = model(batch.inputs[window.start : window.stop], None, run=watched(watch))
        part = batch.between(window.first, window.stop)
        graph = loss.total(outputs[window.first - window.start :], part.targets, part.mask)
        # The graph must live until here: a tensor freed earlier would leave its address to another one.
        assert graph.requires_grad
    return sum(size for address, size in kept.items() if address not in given)


def repeated(batch: Batch, times: int) -> Batch:
    """A batch without a mask so many times in a row."""
    return batch if times == 1 else Batch(torch.cat([batch.inputs] * times), torch.cat([batch.targets] * times))
