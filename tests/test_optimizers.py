"""Optimizers: every option arrives, each makes torch's steps, and weights decay where they were asked to."""

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.optim import Optimizer

from study.analysis.result import evaluate
from study.errors import ConfigError
from study.learning import optimizers
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.norm import ClipNorm
from study.learning.optimizers import averaged, parameter_groups
from study.models import Inputs, RecurrentModel
from study.models.cells.elman import Elman
from study.models.cells.lstm import LSTM
from study.probes.gradients import Rehearsal
from study.schema import Config
from study.schema.identity import deciding
from study.schema.optimizer import OPTIMIZERS, OptimizerConfig
from study.testing.configs import ConfigContract
from study.train import assemble
from study.training.trainer import fit
from study.verify.networks import MSE
from tests.composed import member
from tests.networks import batch

Configure = Callable[..., Config]

configured = partial(member, OPTIMIZERS, "optimizer")


def network(core: type[Elman] | type[LSTM] = LSTM, tokens: bool = True) -> RecurrentModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return RecurrentModel(Inputs(4, tokens), core(5 if tokens else 4, 5, 2), 3)


def give(parameters: Iterable[Tensor], update: int) -> None:
    """Gradients that are drawn, another one at every update."""
    draws = torch.Generator().manual_seed(update)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=draws)


def trained(model: RecurrentModel, *several: Optimizer, updates: int = 6) -> list[Tensor]:
    """The parameters after some updates by one optimizer or several."""
    for update in range(updates):
        give(model.parameters(), update)
        for optimizer in several:
            optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def assert_same(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)


class TestOptimizerConfigs(ConfigContract):
    @pytest.fixture(params=OPTIMIZERS)
    def config(self, request: pytest.FixtureRequest) -> OptimizerConfig:
        return configured(request.param)


@pytest.mark.parametrize("decay", ["all", "matrices"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_option_arrives_in_the_optimizer_under_its_own_name(name: str, decay: str) -> None:
    config = configured(name, decay=decay, weight_decay=0.25)
    first = optimizers.build(config, network()).param_groups[0]
    assert config.model_dump(exclude={"name", "decay"}).items() <= first.items()


TORCH: dict[str, tuple[dict[str, Any], Callable[[Any], Optimizer]]] = {
    "sgd": (
        {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.1, nesterov=True),
    ),
    "rmsprop": (
        {"lr": 0.01, "alpha": 0.8, "momentum": 0.5, "weight_decay": 0.1},
        lambda p: torch.optim.RMSprop(p, 0.01, 0.8, weight_decay=0.1, momentum=0.5),
    ),
    "adam": ({"lr": 0.01, "weight_decay": 0.1}, lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
    "adamw": ({"lr": 0.01, "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
    "asgd": (
        {"lr": 0.1, "weight_decay": 0.1, "t0": 1},
        lambda p: torch.optim.ASGD(p, 0.1, lambd=0.0, t0=0, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_it_makes_the_steps_of_torchs_own_class(name: str) -> None:
    options, own = TORCH[name]
    ours, theirs = network(), network()
    found = trained(ours, optimizers.build(configured(name, **options), ours))
    for mine, wanted in zip(found, trained(theirs, own(theirs.parameters())), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_decay_of_0_is_the_same_for_whichever_parameters_bit_for_bit(name: str) -> None:
    kinds = [configured(name, decay=decay, weight_decay=0.0) for decay in ("all", "matrices")]
    one, other = (trained(model, optimizers.build(kind, model)) for model, kind in ((network(), k) for k in kinds))
    assert_same(one, other)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_so_runs_that_differ_in_what_does_not_decay_are_the_same_arm(configure: Configure, weight_decay: float) -> None:
    common = ["optimizer=adamw", f"optimizer.weight_decay={weight_decay}"]
    one, other = (configure(*common, f"optimizer.decay={decay}") for decay in ("all", "matrices"))
    assert (deciding(one) == deciding(other)) == (weight_decay == 0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_matrices_decay_where_that_is_asked_and_no_embedding(name: str) -> None:
    model = network()
    groups = optimizers.build(configured(name, decay="matrices", weight_decay=0.5), model).param_groups
    decaying = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in decaying}
    assert names == {"core.weight_ih_l0", "core.weight_hh_l0", "core.weight_ih_l1", "core.weight_hh_l1", "head.weight"}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.5}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_without_a_choice_all_parameters_are_one_group_in_the_models_order() -> None:
    model = network()
    (group,) = parameter_groups(model, "all")
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert set(group) == {"params"}


def muon_and_adamw(model: RecurrentModel) -> list[Optimizer]:
    """The two of torch, as somebody would write them beside each other."""
    inside = [p for name, p in model.named_parameters() if name.startswith("core") and p.ndim == 2]
    outside = [p for p in model.parameters() if all(p is not q for q in inside)]
    muon = torch.optim.Muon(inside, 0.02, 0.1, 0.9, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(outside, 0.02, weight_decay=0.1)]


MUON = configured("muon", lr=0.02, momentum=0.9, weight_decay=0.1)


def test_muon_moves_the_matrices_of_the_core_and_adamw_all_other_parameters() -> None:
    ours, theirs = network(), network()
    assert_same(trained(ours, optimizers.build(MUON, ours)), trained(theirs, *muon_and_adamw(theirs)))


def test_a_step_of_muon_is_as_long_in_every_direction_of_a_matrix() -> None:
    model, before = network(Elman, tokens=False), network(Elman, tokens=False)
    optimizer = optimizers.build(configured("muon", lr=1.0), model)
    trained(model, optimizer, updates=1)
    step = model.get_parameter("core.weight_hh_l0") - before.get_parameter("core.weight_hh_l0")
    lengths = torch.linalg.svdvals(step.detach()) / (0.2 * math.sqrt(5))
    assert 0.5 < float(lengths.min()) <= float(lengths.max()) < 1.4


def test_muon_goes_on_from_its_state_to_the_same_bits_at_the_rate_that_was_set() -> None:
    whole, first, second = network(), network(), network()
    optimizer, restored = optimizers.build(MUON, first), optimizers.build(MUON, second)
    reference = muon_and_adamw(whole)
    trained(whole, *reference, updates=3)
    trained(first, optimizer, updates=3)
    second.load_state_dict(first.state_dict())
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in [g for part in (*reference, optimizer, restored) for g in part.param_groups]:
        group["lr"] = 0.5
    wanted = trained(whole, *reference)
    assert_same(trained(first, optimizer), wanted)
    assert_same(trained(second, restored), wanted)


def test_a_rehearsed_step_of_muon_leaves_its_state_and_the_weights_alone() -> None:
    model, data = network(Elman, tokens=False), batch(6, 2, 4, torch.float32)
    model.head = nn.Linear(5, 1)
    bptt = TruncatedBPTT(model, MSE, optimizers.build(MUON, model), ClipNorm(1.0))
    list(bptt.updates(data))
    weights, state = copy.deepcopy([*model.parameters()]), copy.deepcopy(bptt.optimizer.state_dict())
    rehearsal = Rehearsal(bptt)
    rehearsal.step(data)
    assert_same([p.detach() for p in model.parameters()], [p.detach() for p in weights])
    torch.testing.assert_close(bptt.optimizer.state_dict()["state"], state["state"], rtol=0, atol=0)
    assert not torch.equal(rehearsal.parameters, torch.cat([p.detach().double().flatten() for p in weights]))


def test_muon_refuses_a_core_without_matrices() -> None:
    model = network(Elman, tokens=False)
    model.core = nn.Module()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"optimizer.name = 'muon'.*no matrices.*optimizer=adamw"):
        optimizers.build(MUON, model)


def test_nesterov_without_momentum_is_refused_as_torch_refuses_it() -> None:
    with pytest.raises(ValidationError, match=r"nesterov = True.*momentum is 0"):
        configured("sgd", nesterov=True, momentum=0.0)


def test_the_mean_of_the_weights_is_that_of_the_updates_from_t0_on_and_stands_in_for_them() -> None:
    model, seen = network(), []
    optimizer = optimizers.build(configured("asgd", t0=3), model)
    for update in range(6):
        give(model.parameters(), update)
        optimizer.step()
        seen.append([p.detach().clone() for p in model.parameters()])
    with averaged(optimizer):
        for number, parameter in enumerate(model.parameters()):
            mean = torch.stack([after[number] for after in seen[2:]]).mean(0)
            torch.testing.assert_close(parameter.detach(), mean)
    assert_same([p.detach() for p in model.parameters()], seen[-1])


def test_before_t0_and_for_optimizers_without_a_mean_the_weights_themselves_are_validated() -> None:
    for config in (configured("asgd", t0=7), configured("adam")):
        model = network()
        optimizer = optimizers.build(config, model)
        moved = trained(model, optimizer)
        with averaged(optimizer):
            assert_same([p.detach() for p in model.parameters()], moved)


def test_a_run_of_averaged_sgd_is_validated_and_tested_by_the_mean_and_trains_as_sgd(configure: Configure) -> None:
    tiny = ["task=forecasting_sine_mix", "model.hidden_size=4", "trainer.max_updates=12", "probe=none"]
    found = []
    for kind in (["optimizer=sgd"], ["optimizer=asgd", "optimizer.t0=12"], ["optimizer=asgd", "optimizer.t0=1"]):
        config = configure(*tiny, "trainer.validate_every=4", "optimizer.lr=0.5", *kind)
        task, module = assemble(config)
        fit(module, config.trainer, config.seed, [])
        validated = [measures["loss"] for measures in module.journal.validations]
        found.append((module.history.rows(), validated, evaluate(module, task, "test")["loss"]))
    (rows, validated, tested), late, mean = found
    np.testing.assert_array_equal(rows, late[0])
    np.testing.assert_array_equal(rows, mean[0])
    assert (validated, tested) == late[1:]
    assert len(validated) > 1
    assert validated[1:] != mean[1][1:]
    assert tested != mean[2]
