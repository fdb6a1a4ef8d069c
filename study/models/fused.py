"""What the cores built on torch's fused layers share."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import _VF, Tensor, nn
from torch.nn import functional

from study.models.contract import Core, RecurrentBlock, State
from study.models.kernel import faster
from study.schema.model.base import Kernel


class Fused(Core):
    """A core that is also one of torch's fused layers: W_hh of layer l is `weight_hh_l<l>`, one block under another."""

    takes_residual = True
    dropout: float
    kernel: Kernel = "torch"

    def initial_state(self, inputs: Tensor) -> State:
        """See `Core`; torch's zeros, written out."""
        zeros = inputs.new_zeros(self.num_layers, inputs.shape[1], self.hidden_size)
        return (zeros,) * len(self.state_parts)

    def weights(self, layer: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """W_ih, W_hh and the two biases of a layer, as torch's cells take them; None: the layer has no biases."""
        parts = ("ih", "hh")  # by name: a probe may put tensors there
        w_ih, w_hh = (getattr(self, f"weight_{part}_l{layer}") for part in parts)
        b_ih, b_hh = (getattr(self, f"bias_{part}_l{layer}", None) for part in parts)
        return w_ih, w_hh, b_ih, b_hh

    def train_forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Core`."""
        if self.kernel == "torch" or not faster(inputs, self.hidden_size):
            return self(inputs, state)
        return self.layer_by_layer(inputs, state or self.initial_state(inputs), self.run_layer)

    def layer_by_layer(
        self, inputs: Tensor, state: State, run: Callable[[int, Tensor, State], tuple[Tensor, State]] | None = None
    ) -> tuple[Tensor, State]:
        """The same with `above` between layers, which torch's call of all layers has no place for.

        Args:
            inputs: of the lowest layer.
            state: before the first step.
            run: runs one layer, as `run_layer` does; None: torch's.
        """
        ends: list[State] = []
        for layer in range(self.num_layers):
            entering = self.dropped(inputs) if layer else inputs
            outputs, end = (run or self._by_torch)(layer, entering, tuple(part[layer : layer + 1] for part in state))
            inputs = self.above(entering, outputs) if layer < self.num_layers - 1 else outputs
            ends.append(end)
        return inputs, tuple(torch.cat(parts) for parts in zip(*ends, strict=True))

    def run_layer(self, layer: int, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """One layer over a sequence in an update: its outputs, and the state after the last step.

        Args:
            layer: from 0, the lowest.
            inputs: what enters it, (time, batch, features).
            state: of this layer alone, each part (1, batch, width).
        """
        return self._by_torch(layer, inputs, state)

    def _by_torch(self, layer: int, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        assert isinstance(self, nn.RNNBase)
        call: Callable[..., Any] = getattr(_VF, self.mode.lower())
        of_one = state if len(state) > 1 else state[0]
        outputs, *end = call(inputs, of_one, self.all_weights[layer], True, 1, 0.0, self.training, False, False)
        return outputs, tuple(end)

    @property
    def recurrent_parameters(self) -> tuple[str, ...]:
        """See `Core`."""
        return tuple(f"weight_hh_l{layer}" for layer in range(self.num_layers))

    def recurrent_blocks(self) -> Iterator[RecurrentBlock]:
        """See `Core`; one block a layer, or one for each gate, in torch's order."""
        for layer, name in enumerate(self.recurrent_parameters):
            for block, matrix in enumerate(self.get_parameter(name).split(self.hidden_size)):
                yield RecurrentBlock(layer, block, matrix)

    def dropped(self, outputs: Tensor) -> Tensor:
        """See `Core`; what torch's layer does by itself."""
        return functional.dropout(outputs, self.dropout, self.training)
