"""Claims that every recurrent core must meet; see `study.testing` for how to run them on a core of your own."""

import copy
import inspect
import math
from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.models import Core, Inputs, RecurrentModel, State
from study.probes.backpropagated import backpropagated
from study.probes.flow import gradient_flow
from study.probes.gradients import flat, gradient
from study.probes.lyapunov import lyapunov
from study.schema.probe import PROBES
from study.seeding import seed_all
from study.testing.probes import full_plan, table
from study.verify import twins
from study.verify.networks import FEATURES, MSE, data, normal

CoreClass = Callable[..., Core]
"""The class of a core, or a function like it: called with features, hidden_size, num_layers and its own options."""

HIDDEN, TIME, WIDTH = 5, 12, 3
DRIVE = 1e4
"""Inputs, or parameters, this much larger drive gates to their ends."""
SATURATED = 1e-10
"""A gate within this of 0 or 1 is closed or open."""


def build(core_class: CoreClass, layers: int = 1, seed: int = 0, **options: float | str) -> Core:
    """A core in float64, the same for equal seeds."""
    with torch.random.fork_rng():
        seed_all(seed)
        return core_class(FEATURES, HIDDEN, layers, **options).double()


def model(core: Core) -> RecurrentModel:
    """The core under a head of one output."""
    with torch.random.fork_rng():
        seed_all(1)
        return RecurrentModel(Inputs(FEATURES, tokens=False), core, 1).double()


def takes(core_class: CoreClass, option: str) -> bool:
    """Whether a core has an option of this name, or hands all options on."""
    parameters = inspect.signature(core_class).parameters
    return option in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def entering(core: Core, layer: int) -> Tensor:
    """Something that enters a layer, (batch, features)."""
    return normal(WIDTH, HIDDEN if layer else FEATURES, seed=3)


def some_state(core: Core) -> State:
    """A state with entries in (-1, 1)."""
    zeros = core.initial_state(data(1, WIDTH).inputs)
    return tuple(normal(*part.shape, seed=4 + i).tanh() for i, part in enumerate(zeros))


def of_layer(state: State, layer: int) -> State:
    """The state of one layer."""
    return tuple(part[layer] for part in state)


class CoreContract:
    """Claims that every core must meet. Override the fixture `core_class`."""

    @pytest.fixture
    def core_class(self) -> CoreClass:
        """The class of the core, or a function that is called like it."""
        raise NotImplementedError("override the fixture `core_class`: return the class of your core")

    @pytest.fixture(params=[1, 3], ids=["1 layer", "3 layers"])
    def core(self, core_class: CoreClass, request: pytest.FixtureRequest) -> Core:
        """A core of 3 features and 5 hidden units in float64, of one layer and of three."""
        return build(core_class, request.param)

    def test_shapes_and_names(self, core: Core) -> None:
        """Sequences come out time-major, and every part of the state has a name; the first is the output."""
        outputs, state = core(data(TIME, WIDTH).inputs)
        assert outputs.shape == (TIME, WIDTH, HIDDEN), f"outputs are {tuple(outputs.shape)}"
        assert len(set(core.state_parts)) == len(core.state_parts) == len(state), "state_parts do not name the state"
        assert core.memory in core.state_parts, f"memory is {core.memory!r}, parts are {core.state_parts}"
        shapes = [tuple(part.shape) for part in state]
        assert all(shape[:2] == (core.num_layers, WIDTH) and len(shape) == 3 for shape in shapes), f"parts are {shapes}"
        assert torch.equal(state[0][-1], outputs[-1]), "the first part of the top layer's state is not the last output"

    def test_forward_is_step_after_step(self, core: Core) -> None:
        """`forward` is `step` repeated over layers and steps, from any state: outputs and the state afterwards."""
        start, inputs = some_state(core), data(TIME, WIDTH).inputs
        hidden, ends = inputs, []
        for layer in range(core.num_layers):
            state, steps = of_layer(start, layer), []
            for step in hidden:
                state = core.step(layer, step, state)
                steps.append(state[0])
            hidden = core.above(hidden, torch.stack(steps)) if layer < core.num_layers - 1 else torch.stack(steps)
            ends.append(state)
        outputs, after = core(inputs, start)
        torch.testing.assert_close(outputs, hidden)
        torch.testing.assert_close(after, tuple(torch.stack(parts) for parts in zip(*ends, strict=True)))

    def test_updates_have_the_outputs_and_gradients_of_forward(self, core: Core) -> None:
        """`train_forward` is `forward` up to rounding: outputs, the state afterwards, and every gradient."""
        state = some_state(core)
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
            core = core.to(dtype)
            inputs = data(TIME, WIDTH).inputs.to(dtype).requires_grad_()
            start = tuple(part.to(dtype).requires_grad_() for part in state)
            both = (_with_slopes(core, run, inputs, start) for run in (core.train_forward, core))
            for ours, expected in zip(*both, strict=True):
                torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance * float(expected.abs().max()))

    def test_the_state_is_all_that_is_carried(self, core: Core) -> None:
        """A sequence read in two pieces, the state carried from one to the other, is the sequence read at once."""
        inputs = data(TIME, WIDTH).inputs
        first, state = core(inputs[:5])
        second, after = core(inputs[5:], state)
        outputs, whole = core(inputs)
        torch.testing.assert_close(torch.cat([first, second]), outputs)
        torch.testing.assert_close(after, whole)

    def test_no_state_is_the_initial_state(self, core: Core) -> None:
        """None stands for `initial_state`."""
        inputs = data(TIME, WIDTH).inputs
        torch.testing.assert_close(core(inputs), core(inputs, core.initial_state(inputs)))

    def test_no_later_step_and_no_other_sequence_is_read(self, core: Core) -> None:
        """An output depends on every step of its own sequence up to its own, and on nothing else."""
        inputs = data(TIME, WIDTH).inputs.requires_grad_()
        (slope,) = torch.autograd.grad(core(inputs)[0][7, 1].sum(), inputs)
        assert slope[:8, 1].any(-1).all(), "an earlier step has no influence"
        assert not slope[8:].any(), "a later step has influence"
        assert not slope[:, [0, 2]].any(), "another sequence has influence"

    def test_equal_seeds_draw_equal_cores(self, core_class: CoreClass) -> None:
        """Parameters depend on torch's global random state alone."""
        one, again, other = (flat([*build(core_class, 2, seed).parameters()]) for seed in (1, 1, 2))
        assert torch.equal(one, again), "equal seeds drew different parameters"
        assert not torch.equal(one, other), "different seeds drew equal parameters"

    def test_nothing_is_random_without_dropout(self, core: Core) -> None:
        """Without dropout the same inputs give the same outputs, in training too."""
        inputs = data(TIME, WIDTH).inputs
        assert torch.equal(core.train()(inputs)[0], core(inputs)[0])

    def test_dropout_acts_between_layers_in_training_only(self, core_class: CoreClass) -> None:
        """Dropout never touches the recurrence: the lowest layer's state stays what it is; evaluation has none."""
        if not takes(core_class, "dropout"):
            pytest.skip("the core has no dropout")
        inputs = data(TIME, WIDTH).inputs
        plain, single, dropping = (build(core_class, n, dropout=p) for n, p in ((3, 0.0), (1, 0.5), (3, 0.5)))
        torch.testing.assert_close(dropping.eval()(inputs), plain(inputs))
        (one, states), (two, again) = (dropping.train()(inputs) for _ in range(2))
        assert not torch.equal(one, two), "dropout changes nothing in training"
        assert all(torch.equal(a[0], b[0]) for a, b in zip(states, again, strict=True)), "the lowest layer was dropped"
        assert torch.equal(single.train()(inputs)[0], single(inputs)[0]), "a single layer has nothing between layers"

    def test_bounded_outputs_are_within_one(self, core: Core) -> None:
        """If `bounded`, h stays within -1 and 1 whatever comes in."""
        inputs = data(TIME, WIDTH).inputs * 10.0 ** torch.arange(TIME)[:, None, None]
        assert not core.bounded or core(inputs)[0].abs().max() <= 1, "bounded, but an output is beyond 1"

    def test_outputs_are_computed_from_the_memory_beside_them(self, core: Core) -> None:
        """The memory that `step` returns is on the way to the h beside it: else its gradient would be missed."""
        after = core.step(0, entering(core, 0), of_layer(some_state(core), 0))
        memory = after[core.state_parts.index(core.memory)]
        (slope,) = torch.autograd.grad(after[0].sum(), memory, allow_unused=True)
        assert slope is not None, f"h is not computed from the {core.memory} that is returned"
        assert slope.any(), f"h does not depend on {core.memory}"

    def test_activations_are_in_their_ranges(self, core: Core) -> None:
        """Gates in (0, 1), tanh in (-1, 1), relu not negative: (batch, units) each; the retention gate is a gate."""
        units = core.activations(0, entering(core, 0), of_layer(some_state(core), 0))
        for kind, low, high in (("gates", 0.0, 1.0), ("tanh", -1.0, 1.0), ("relu", 0.0, math.inf)):
            for name, values in getattr(units, kind).items():
                assert values.shape[:-1] == (WIDTH,), f"{name} is {tuple(values.shape)}"
                assert ((values >= low) & (values <= high)).all(), f"{name} is not within {low:g} and {high:g}"
        assert units.retention_gate is None or units.retention_gate in units.gates, "retention_gate is not a gate"

    def test_an_open_retention_gate_keeps_the_memory(self, core: Core) -> None:
        """In units whose retention gate is 1 the old memory is kept in full: d new / d old = 1; where it is 0, not.

        The gate is driven to its ends by large inputs or, if it does not depend on them, by large parameters.
        """
        found = _retained(core, DRIVE * entering(core, 0))
        if found is not None and not (found[0] > 1 - SATURATED).any():
            found = _retained(_scaled(core, DRIVE), entering(core, 0))
        if found is None:  # there is no such gate
            return
        gate, kept = found
        opened, closed = kept[gate > 1 - SATURATED], kept[gate < SATURATED]
        assert len(opened), "no unit reaches a retention gate of 1"
        assert (opened - 1).abs().max() < 1e-3, f"the gate is 1, but d new / d old is {opened.tolist()}"
        assert not ((closed - 1).abs() < 1e-3).any(), f"the gate is 0, but d new / d old is {closed.tolist()}"

    def test_recurrent_parameters_act_on_the_state(self, core: Core) -> None:
        """`recurrent_parameters` are parameters that do nothing where the state is zero, and something elsewhere."""
        parameters = dict(core.named_parameters())
        unknown = set(core.recurrent_parameters) - set(parameters)
        assert not unknown, f"no such parameters: {', '.join(sorted(unknown))}"
        state = some_state(core)
        for name in core.recurrent_parameters:
            nothing, something = (
                _moves(core, parameters[name], start) for start in (tuple(map(torch.zeros_like, state)), state)
            )
            assert something, f"{name} does not act on the state"
            assert not nothing, f"{name} acts where the state is zero"

    def test_recurrent_blocks_are_square_and_numbered(self, core: Core) -> None:
        """`recurrent_blocks` are finite square matrices, numbered from 0 in every layer, lowest layer first."""
        blocks = list(core.recurrent_blocks())
        assert [block.layer for block in blocks] == sorted(block.layer for block in blocks), "layers are out of order"
        for layer, of_it in groupby(blocks, lambda block: block.layer):
            matrices = list(of_it)
            assert 0 <= layer < core.num_layers, f"there is no layer {layer}"
            assert [block.block for block in matrices] == list(range(len(matrices))), "blocks are not numbered from 0"
            shapes = [tuple(block.matrix.shape) for block in matrices]
            assert all(len(shape) == 2 and shape[0] == shape[1] for shape in shapes), f"blocks are {shapes}"

    def test_recurrent_blocks_are_parts_of_recurrent_parameters(self, core: Core) -> None:
        """Every block is made of parameters that `recurrent_parameters` names, and of no other."""
        parameters = dict(core.named_parameters())
        for layer, block, matrix in core.recurrent_blocks():
            slopes = torch.autograd.grad(matrix.sum(), [*parameters.values()], allow_unused=True)
            made_of = {name for name, slope in zip(parameters, slopes, strict=True) if slope is not None}
            assert made_of, f"block {block} of layer {layer} is made of no parameter"
            assert made_of <= set(core.recurrent_parameters), f"block {block} of layer {layer} is made of {made_of}"

    def test_recurrent_blocks_start_as_asked(self, core_class: CoreClass) -> None:
        """Orthogonal: all singular values are the gain. Uniform: entries fill +-gain / sqrt(size). Identity: gain I.

        Sparse: 15 entries in every row, or all of them, and a spectral radius of the gain.
        """
        if not takes(core_class, "recurrent_init"):
            pytest.skip("the core has no recurrent_init")
        for gain in (0.5, 2.0):
            for _, _, matrix in build(core_class, 2, recurrent_init="orthogonal", gain=gain).recurrent_blocks():
                singular = torch.linalg.svdvals(matrix)
                torch.testing.assert_close(singular, torch.full_like(singular, gain), atol=1e-5, rtol=0)
            blocks = [b.matrix for b in build(core_class, 9, recurrent_init="uniform", gain=gain).recurrent_blocks()]
            entries = torch.cat([(matrix * math.sqrt(len(matrix)) / gain).flatten() for matrix in blocks])
            assert entries.abs().max() <= 1 + 1e-6, "a uniform start leaves its interval"
            assert abs(entries.std().item() * math.sqrt(3) - 1) < 0.15, "a uniform start does not fill its interval"
            for _, _, matrix in build(core_class, 2, recurrent_init="identity", gain=gain).recurrent_blocks():
                torch.testing.assert_close(matrix, gain * torch.eye(len(matrix)).double())
            with torch.random.fork_rng():
                wide = core_class(FEATURES, 40, 1, recurrent_init="sparse", gain=gain).double()
            for start in (wide, build(core_class, 2, recurrent_init="sparse", gain=gain)):
                for _, _, matrix in start.recurrent_blocks():
                    assert ((matrix != 0).sum(1) == min(15, len(matrix))).all(), "a sparse row has not 15 entries"
                    radius = torch.linalg.eigvals(matrix).abs().max()
                    torch.testing.assert_close(radius, torch.full_like(radius, gain), atol=1e-5, rtol=0)

    def test_the_flow_is_that_of_one_plain_graph(self, core: Core) -> None:
        """The gradient flow probe against plain autograd, a sequence at a time, in every part of every state."""
        network, batch = model(core), data(TIME, WIDTH)
        slow = twins.slow_flow(twins.own, network, batch)
        flow = gradient_flow(network, MSE, batch, TIME - 1, WIDTH)
        np.testing.assert_allclose(flow.log_norms, slow, rtol=1e-9, atol=1e-9)

    def test_the_gradient_by_time_is_that_of_one_plain_graph(self, core: Core) -> None:
        """The probe of the gradient by time against plain autograd."""
        network, batch = model(core), data(TIME, WIDTH)
        slow = twins.slow_by_time(twins.own, network, batch)
        np.testing.assert_allclose(backpropagated(network, MSE, batch).log_norms, slow, rtol=1e-9, atol=1e-9)

    def test_the_lyapunov_spectrum_is_that_of_the_full_jacobians(self, core: Core) -> None:
        """The probe of the exponents against QR of the full Jacobian of every step, down to what a step loses."""
        network, batch = model(core), data(TIME, 2)
        slow = np.stack([twins.slow_exponents(twins.own, network, batch.inputs[:, i]) for i in range(2)])
        rates = lyapunov(network, batch, None, 2).rates
        assert not np.isnan(rates).any()
        np.testing.assert_allclose(twins.seen(rates, slow), slow, atol=1e-6)

    def test_truncated_gradients_are_those_of_plain_loops(self, core: Core) -> None:
        """Training's truncated gradient, and the probes' own, against window after window by `step`."""
        batch = data(TIME, WIDTH)
        for k1, k2 in ((None, None), (None, 4), (2, 5)):
            network = model(core)
            slow = twins.slow_gradient(twins.own, network, batch, k1, k2)
            torch.testing.assert_close(gradient(network, MSE, batch, k1, k2), slow, rtol=1e-8, atol=1e-11)
            network.zero_grad(set_to_none=True)
            optimizer = torch.optim.SGD(network.parameters(), 0.1)
            TruncatedBPTT(network, MSE, optimizer, NoClip(), k1, k2).backward(batch)
            trained = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
            torch.testing.assert_close(flat(trained), slow, rtol=1e-8, atol=1e-11)

    def test_every_probe_measures_it(self, core: Core) -> None:
        """Every registered probe takes it, and gives a table."""
        network = model(core)
        bptt = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), NoClip(), None, 4)
        for name in PROBES:
            table(PROBES.implementation(name).measure(full_plan(name), bptt, data(TIME, WIDTH)))


def _with_slopes(core: Core, run: Callable[..., tuple[Tensor, State]], inputs: Tensor, start: State) -> list[Tensor]:
    """Outputs and state after a run, and the gradients of a weighted sum of them in all that they depend on."""
    outputs, after = run(inputs, start)
    parts = [outputs, *after]
    weights = [torch.linspace(-1, 1, part.numel(), dtype=part.dtype).view_as(part) for part in parts]
    total = torch.stack([(part * weight).sum() for part, weight in zip(parts, weights, strict=True)]).sum()
    wanted = [inputs, *start, *core.parameters()]
    slopes = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    return [*(part.detach() for part in parts), *slopes]


def _retained(core: Core, inputs: Tensor) -> tuple[Tensor, Tensor] | None:
    """Retention gate and d new / d old of every unit of the lowest layer's memory; None if there is no such gate."""
    place = core.state_parts.index(core.memory)
    state = tuple(part.requires_grad_() for part in of_layer(some_state(core), 0))
    units = core.activations(0, inputs, state)
    if units.retention_gate is None:
        return None
    new, old = core.step(0, inputs, state)[place], state[place]
    slopes = [torch.autograd.grad(new[:, j].sum(), old, retain_graph=True)[0][:, j] for j in range(new.shape[1])]
    return units.gates[units.retention_gate].detach(), torch.stack(slopes, 1)


def _scaled(core: Core, factor: float) -> Core:
    """A copy whose parameters are larger."""
    larger = copy.deepcopy(core)
    with torch.no_grad():
        for parameter in larger.parameters():
            parameter.mul_(factor)
    return larger


def _moves(core: Core, parameter: Tensor, state: State) -> bool:
    """Whether a parameter has a gradient in the states after one step of every layer."""
    ends = [core.step(layer, entering(core, layer), of_layer(state, layer)) for layer in range(core.num_layers)]
    total = torch.stack([part.sum() for end in ends for part in end]).sum()
    (slope,) = torch.autograd.grad(total, parameter, allow_unused=True)
    return slope is not None and bool(slope.any())
