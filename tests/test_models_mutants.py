"""Cores that are wrong on purpose: the contract suite must name what is wrong with each."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from study.models import Activations, Core, RecurrentBlock, State
from study.models.cells.elman import Elman
from study.models.cells.gru import GRU
from study.models.cells.lstm import LSTM
from study.testing.cores import CoreContract, build


def breaks(core_class: Callable[..., Core], claim: Callable[..., None]) -> bool:
    """Whether a core breaks a claim, with one layer or with three."""
    given = {"core_class": lambda layers: core_class, "core": lambda layers: build(core_class, layers)}
    for layers in (1, 3):
        arguments = [given[key](layers) for key in inspect.signature(claim).parameters if key != "self"]
        try:
            claim(CoreContract(), *arguments)
        except AssertionError:
            return True
    return False


class ComplementGate(GRU):
    """Says how much is forgotten where it should say how much is kept."""

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        right = super().activations(layer, inputs, state)
        return right._replace(gates={**right.gates, "update": 1 - right.gates["update"]})


class OtherGate(LSTM):
    """Names the input gate."""

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        return super().activations(layer, inputs, state)._replace(retention_gate="input")


class OtherMemory(LSTM):
    """Names h as what carries the past."""

    memory = "h"


class MissingPart(LSTM):
    """Names one part of two."""

    state_parts = ("c",)  # type: ignore[assignment]


class OtherStep(GRU):
    """A step without the bias of W_hh."""

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        w_ih, w_hh, b_ih, b_hh = self.all_weights[layer]
        return (torch.gru_cell(inputs, state[0], w_ih, w_hh, b_ih, torch.zeros_like(b_hh)),)


class Beside(LSTM):
    """A step whose c is not the one that h is computed from."""

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        h, _ = super().step(layer, inputs, state)
        _, c = super().step(layer, inputs, state)
        return h, c


class Ahead(GRU):
    """Reads a step ahead."""

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        return super().forward(inputs + 0.1 * inputs.roll(-1, 0), state)


class Mixing(GRU):
    """Centres every step over the batch."""

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        return super().forward(inputs - inputs.mean(1, keepdim=True), state)


class Noisy(GRU):
    """Adds noise to what it reads."""

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        return super().forward(inputs + 1e-3 * torch.randn_like(inputs), state)


class OtherStart(GRU):
    """Starts from ones and calls it zeros."""

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        start = torch.ones(self.num_layers, inputs.shape[1], self.hidden_size, dtype=inputs.dtype)
        return super().forward(inputs, state or (start,))


class Unbounded(Elman):
    """Relu units that are said to be bounded."""

    def __init__(self, *sizes: int, **options: Any):
        super().__init__(*sizes, activation="relu", **options)
        self.bounded = True


class InputWeights(GRU):
    """Names the weights of the inputs as recurrent."""

    @property
    def recurrent_parameters(self) -> tuple[str, ...]:
        return tuple(f"weight_ih_l{layer}" for layer in range(self.num_layers))


class WholeMatrix(GRU):
    """Gives the three gates' matrices as one that is not square."""

    def recurrent_blocks(self) -> Iterator[RecurrentBlock]:
        for layer in range(self.num_layers):
            yield RecurrentBlock(layer, 0, self.get_parameter(f"weight_hh_l{layer}").detach())


class DroppedState(GRU):
    """Drops units of the state it hands on."""

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        outputs, (hidden,) = super().forward(inputs, state)
        return outputs, (torch.nn.functional.dropout(hidden, self.dropout, self.training),)


class Fixed(GRU):
    """The same weights whatever the seed."""

    def __init__(self, *sizes: int, **options: Any):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            super().__init__(*sizes, **options)


MUTANTS: dict[type[Core], Callable[..., None]] = {
    ComplementGate: CoreContract.test_an_open_retention_gate_keeps_the_memory,
    OtherGate: CoreContract.test_an_open_retention_gate_keeps_the_memory,
    OtherMemory: CoreContract.test_an_open_retention_gate_keeps_the_memory,
    MissingPart: CoreContract.test_shapes_and_names,
    OtherStep: CoreContract.test_forward_is_step_after_step,
    Beside: CoreContract.test_outputs_are_computed_from_the_memory_beside_them,
    Ahead: CoreContract.test_no_later_step_and_no_other_sequence_is_read,
    Mixing: CoreContract.test_no_later_step_and_no_other_sequence_is_read,
    Noisy: CoreContract.test_nothing_is_random_without_dropout,
    OtherStart: CoreContract.test_no_state_is_the_initial_state,
    Unbounded: CoreContract.test_bounded_outputs_are_within_one,
    InputWeights: CoreContract.test_recurrent_parameters_act_on_the_state,
    WholeMatrix: CoreContract.test_recurrent_blocks_are_square_and_numbered,
    DroppedState: CoreContract.test_dropout_acts_between_layers_in_training_only,
    Fixed: CoreContract.test_equal_seeds_draw_equal_cores,
}


@pytest.mark.parametrize("mutant", list(MUTANTS))
def test_a_wrong_core_breaks_the_claim_it_contradicts(mutant: type[Core]) -> None:
    assert breaks(mutant, MUTANTS[mutant])


@pytest.mark.parametrize("mutant", list(MUTANTS))
def test_the_core_it_was_made_from_does_not(mutant: type[Core]) -> None:
    assert not breaks(mutant.__mro__[1], MUTANTS[mutant])
