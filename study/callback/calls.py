"""What a recurrent layer was called with in training, and the gradient that the loss sends into what leaves it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.utils.hooks import RemovableHandle

from study.callback.layers import Recurrent
from study.models import State


class NotMeasured(Exception):
    """Why the flow through a layer cannot be measured, in a few words."""


class LayerPassage(NamedTuple):
    """One way through a recurrent layer.

    Attributes:
        inputs: what entered at every step.
        entry: the state before the first step, each part (layers, batch, width); None: zeros.
        own: the gradient with respect to what left the layer at every step, without what comes back through its state.
    """

    inputs: Float[Tensor, "time batch features"]
    entry: State | None
    own: Float[Tensor, "time batch hidden"]


class LayerListener(ABC):
    """Listens to the calls of a layer while it is started; keeps the last way through it."""

    def __init__(self, layer: Recurrent):
        self._layer = layer
        self._handle: RemovableHandle | None = None

    def start(self) -> None:
        """Listen from the next call on."""
        self.stop()
        self._handle = self._layer.register_forward_hook(self._hear, with_kwargs=True)

    def stop(self) -> None:
        """Listen no more, and forget."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = None
        self._forget()

    @property
    def listening(self) -> bool:
        """Whether it is started."""
        return self._handle is not None

    def _hear(self, layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        if layer.training and torch.is_grad_enabled():
            given = dict(zip(("input", "hx"), args, strict=False)) | dict(kwargs)
            inputs = given.get("input", given.get("inputs"))
            self._called(inputs, given.get("hx", given.get("state")), output)

    @abstractmethod
    def _forget(self) -> None:
        """Drop what was kept."""

    @abstractmethod
    def _called(self, inputs: Any, state: Any, output: Any) -> None:
        """Keep a call of the layer."""

    @abstractmethod
    def passage(self) -> LayerPassage:
        """The last way through the layer, after its backward pass.

        Raises:
            NotMeasured: there is none, or its gradient cannot be separated from that of later steps.
        """


class SequenceListener(LayerListener):
    """Of a layer that reads whole sequences in one call: torch's RNN, GRU and LSTM, and our cores.

    What leaves it at a step is not what it hands to the next one, so autograd keeps the two gradients apart.
    """

    def _forget(self) -> None:
        self._inputs: Tensor | None = None
        self._entry: State | None = None
        self._last: Tensor | None = None
        self._own: dict[str, Tensor] = {}
        self._ends: dict[int, Tensor] = {}

    def _called(self, inputs: Any, state: Any, output: Any) -> None:
        self._forget()
        outputs, ends = output
        padded, as_padded, batched = self._layout(inputs)
        self._inputs = padded.detach()
        if state is not None:
            self._entry = tuple(batched(part).detach() for part in _parts(state))
        if isinstance(inputs, PackedSequence):
            outputs = outputs.data
            self._last = pad_packed_sequence(inputs)[1].to(padded.device) - 1
        own, found = self._own, self._ends  # of this call: an earlier one of the same update has others
        if outputs.requires_grad:
            outputs.register_hook(lambda gradient: own.update(own=as_padded(gradient.detach())))
        for place, end in enumerate(_parts(ends)):
            if end.requires_grad:
                end.register_hook(lambda gradient, place=place: found.update({place: batched(gradient.detach())}))

    def _layout(self, inputs: Any) -> tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Inputs as (time, batch, features); what makes outputs, and states, of this call so."""
        if isinstance(inputs, PackedSequence):
            return pad_packed_sequence(inputs)[0], lambda data: _unpacked(inputs, data), _same
        if inputs.ndim == 2 and isinstance(self._layer, nn.RNNBase):
            return inputs[:, None], lambda outputs: outputs[:, None], lambda state: state[:, None]
        if getattr(self._layer, "batch_first", False):
            return inputs.transpose(0, 1), lambda outputs: outputs.transpose(0, 1), _same
        return inputs, _same, _same

    def passage(self) -> LayerPassage:
        """See `LayerListener`; a loss that reads the last h of the top layer reads what leaves the layer there."""
        if self._inputs is None:
            raise NotMeasured("the layer was not called in training")
        own, last = self._own.get("own"), self._ends.get(0)
        others = [*(end for place, end in self._ends.items() if place), *(() if last is None else last[:-1])]
        if any(bool(gradient.any()) for gradient in others):
            raise NotMeasured("the loss reads states that do not leave the layer at a step: c, or h of a lower layer")
        if last is not None:
            steps, batch = self._inputs.shape[:2]
            at = self._last if self._last is not None else torch.full((batch,), steps - 1, device=last.device)
            own = last.new_zeros(steps, batch, last.shape[-1]) if own is None else own.clone()
            own[at, torch.arange(batch, device=own.device)] += last[-1]
        if own is None:
            raise NotMeasured("the loss does not reach what leaves the layer")
        return LayerPassage(self._inputs, self._entry, own)


class CellListener(LayerListener):
    """Of a cell that its network calls step by step.

    What leaves a cell is what it hands to its next call, so autograd adds the two gradients up. After the last call
    there is no next one: that gradient is the loss's own, so it alone is kept.
    """

    def _forget(self) -> None:
        self._steps: list[Tensor] = []
        self._entry: State | None = None
        self._handed: State = ()
        self._gradients: dict[tuple[int, int], Tensor] = {}

    def _called(self, inputs: Any, state: Any, output: Any) -> None:
        given = () if state is None else _parts(state)
        if not self._handed or len(given) != len(self._handed) or any(map(_differ, given, self._handed)):
            self._forget()
            self._entry = tuple(_batch(part).detach()[None] for part in given) or None
        self._steps.append(_batch(inputs).detach())
        self._handed, found = _parts(output), self._gradients
        for place, part in enumerate(self._handed):
            if part.requires_grad:
                key = len(self._steps), place
                part.register_hook(lambda gradient, key=key: found.update({key: _batch(gradient.detach())}))

    def passage(self) -> LayerPassage:
        """See `LayerListener`."""
        steps = len(self._steps)
        if steps < 2:
            raise NotMeasured("the network does something to the state between two calls of its cell")
        last = self._gradients.get((steps, 0))
        if last is None or (steps, 1) in self._gradients:
            raise NotMeasured("the loss does not read the h, and only that, of the last call of the cell")
        own = torch.cat([last.new_zeros(steps - 1, *last.shape), last[None]])
        return LayerPassage(torch.stack(self._steps), self._entry, own)


def listener(layer: Recurrent) -> LayerListener:
    """The one that fits a layer, not started yet."""
    found = CellListener(layer) if isinstance(layer, nn.RNNCellBase) else SequenceListener(layer)
    found.stop()
    return found


def _parts(state: Any) -> State:
    return tuple(state) if isinstance(state, tuple | list) else (state,)


def _differ(one: Tensor, other: Tensor) -> bool:
    return one is not other


def _batch(vectors: Tensor) -> Tensor:
    """With a dimension for the batch."""
    return vectors if vectors.ndim == 2 else vectors[None]


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _unpacked(inputs: PackedSequence, data: Tensor) -> Tensor:
    return pad_packed_sequence(inputs._replace(data=data))[0]
