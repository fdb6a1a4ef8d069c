"""A network as a graph that any length and batch size can enter: what `torch.export` needs to see of it.

A core is stepped by torch's `scan`, whose body is traced once, whatever the number of steps: a loop in Python would be
unrolled at the length of the example, and torch's fused layers are such a loop there. So every core can be exported
whose `step` is made of tensor operations.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch._higher_order_ops import scan  # torch has no public name for it yet

from study.errors import ConfigError
from study.models import Core, Inputs, RecurrentModel, State

SIZES = ((1, 1), (2, 5), (37, 3))
"""Lengths and batch sizes at which an export is compared with the network it was made of."""
EXAMPLE = (4, 3)
"""The length and batch size that are traced."""


class Outputs(nn.Module):
    """The outputs of a network at every step, from the initial state.

    Args:
        model: in evaluation mode.
    """

    def __init__(self, model: RecurrentModel):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """(time, batch, features), or tokens (time, batch), to (time, batch, outputs)."""
        outputs: Tensor = self.model(inputs, run=scanned)[0]
        return outputs


def scanned(core: Core, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    """What `core(inputs, state)` returns, step by step inside of one operation; see `study.models.unrolled.Run`."""
    state, ends = state or core.initial_state(inputs), []
    for layer in range(core.num_layers):

        def step(at: list[Tensor], entering: Tensor, layer: int = layer) -> tuple[list[Tensor], Tensor]:
            after = core.step(layer, entering, tuple(at))
            return [part.clone() for part in after], after[0].clone()  # scan refuses results that share memory

        end, outputs = scan(step, [part[layer].clone() for part in state], inputs, dim=0)
        inputs = core.above(inputs, outputs) if layer < core.num_layers - 1 else outputs
        ends.append(end)
    return inputs, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))


def example(inputs: Inputs, features: int, length: int, batch: int) -> Shaped[Tensor, "time batch *features"]:
    """Something that may enter a network: numbers that differ, or tokens.

    Args:
        inputs: of its task.
        features: tokens a step; 1: they have no dimension of their own.
        length: in steps.
        batch: sequences.
    """
    draws = torch.Generator().manual_seed(0)
    if not inputs.tokens:
        return torch.randn(length, batch, inputs.size, generator=draws)
    shape = (length, batch) if features == 1 else (length, batch, features)
    return torch.randint(inputs.size, shape, generator=draws)


def refuse_other(file: Path, model: RecurrentModel, inputs: Inputs, features: int) -> None:
    """Refuse a graph that does not give what the network gives, at lengths and batch sizes that were not traced."""
    graph = torch.export.load(file).module()
    for length, batch in SIZES:
        entering = example(inputs, features, length, batch)
        expected: Float[Tensor, "time batch outputs"] = model(entering)[0]
        try:
            with torch.no_grad():
                torch.testing.assert_close(graph(entering), expected, rtol=1e-4, atol=1e-5, equal_nan=True)
        except (AssertionError, RuntimeError) as error:
            raise ConfigError(
                f"model: traced at {EXAMPLE[0]} steps of {EXAMPLE[1]} sequences, the network is another at {length} of "
                f"{batch}: {str(error).splitlines()[0]}. Something in it reads a size as a number, as len(inputs) "
                "does; inputs.shape[0] is the size whatever it is"
            ) from error
