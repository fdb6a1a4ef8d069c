"""Causes tested one by one, on facts and networks made so that the answer is known."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from study.analysis.causes.case import case_of
from study.analysis.causes.examined import at_the_end, examined
from study.analysis.causes.measures import allowance, plans, price
from study.analysis.causes.tested import NOTHING, CauseTest, first, sentence
from study.analysis.causes.tests import try_all
from study.analysis.causes.transition import transition
from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup, Standing
from study.analysis.diagnosis.judge import diagnose
from study.analysis.result import facts_of
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.norm import ClipNorm
from study.models import RecurrentModel
from study.probes.flow import gradient_flow
from study.probes.sensitivity import Sensitivity, sensitivity
from study.probes.sharpness import Sharpness
from study.probes.truncation import Truncation, truncation_bias
from study.schema import Config
from study.train import assemble
from study.training.module import RecurrentModule
from study.training.trainer import fit
from study.verify.networks import MSE, linear, orthogonal
from tests.networks import batch, build
from tests.test_diagnosis import falling, leap, parting
from tests.test_diagnosis_causes import FLAT, GUESS, HEALTHY, PART, SETUP, moving, saturated

GUESSED = replace(SETUP, horizon_known=False, reach=4)
NAMES = ["nothing to learn", "reach", "step size", "gradient", "expressivity"]
NAMES += ["sensitivity", "budget", "overfitting", "capacity"]


def tried(
    *probed: Probed,
    setup: Setup = SETUP,
    standing: Standing = GUESS,
    losses: np.ndarray = FLAT,
    validation: float = 1.0,
    diverged: int | None = None,
) -> list[CauseTest]:
    norms = np.full(len(losses), 0.5)
    return try_all(case_of(Facts(setup, Course(losses, norms, norms, diverged, validation), probed, standing)))


def of(cause: str, found: list[CauseTest]) -> CauseTest:
    return next(test for test in found if test.cause == cause)


def named(found: list[CauseTest]) -> str:
    return test.cause if (test := first(found)) else "none"


def biased(error: float, cosine: float, without: float = 1.5) -> Probed:
    """The bias at k2 = 1 and at k2 = 5."""
    error_, cosine_ = np.array([without, error]), np.array([0.1, cosine])
    bias = Truncation([1, 5], cosine_, error_, error_, cosine_[:, None], error_[:, None])
    return Probed(200, HEALTHY, truncation=bias)


# One by one.


def test_all_causes_are_tested_in_their_order_and_none_is_named_without_evidence() -> None:
    found = tried(Probed(200, HEALTHY))
    assert [test.cause for test in found] == NAMES
    assert first(found) is None
    assert {test.found for test in found} == {"ruled out", "not measured"}
    assert sentence(found).startswith("no cause is supported by a measurement; not measured: ")


def test_a_known_horizon_beyond_reach_decides_and_one_within_it_rules_reach_out() -> None:
    short, long = (of("reach", tried(setup=replace(SETUP, reach=reach))) for reach in (19, 20))
    assert (short.found, short.evidence, short.value, short.threshold) == ("supported", "decisive", 19, 20)
    assert short.change == "bptt.k2=21"
    assert (long.found, long.value) == ("ruled out", 20)
    assert of("reach", tried()).value == math.inf


@pytest.mark.parametrize(("error", "found"), [(0.99, "not measured"), (1.01, "supported")])
def test_of_a_guessed_horizon_the_bias_is_a_sign_from_where_training_need_not_converge(
    error: float, found: str
) -> None:
    test = of("reach", tried(biased(error, 0.5), setup=GUESSED))
    assert (test.found, test.evidence, test.value) == (found, "sign", error)
    assert "2.00 times as fast" in test.why
    assert test.change == "bptt.k2=10"


def test_a_small_bias_rules_nothing_out_and_one_of_outputs_without_a_past_says_nothing() -> None:
    learnt, not_yet = (of("reach", tried(biased(0.01, 1.0, without), setup=GUESSED)) for without in (0.5, 0.05))
    assert (learnt.found, not_yet.found) == ("not measured", "not measured")
    assert "rules nothing out" in learnt.why
    assert "hardly depend on the past yet" in not_yet.why


def test_the_gain_that_is_predicted_is_that_of_a_real_step_of_the_same_length() -> None:
    network, data = build("elman"), batch(12, 8, 3)
    bptt = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), ClipNorm(1.0), k2=2)
    bias = truncation_bias(bptt, data, [2], 1)
    falls = []
    for k2 in (2, None):
        network.zero_grad()
        TruncatedBPTT(network, MSE, bptt.optimizer, ClipNorm(1.0), k2=k2, update="sequence").backward(data)
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        length = torch.cat([g.flatten() for g in gradients]).norm()
        before = [p.detach().clone() for p in network.parameters()]
        losses = [MSE.total(network(data.inputs)[0], data.targets, None)]
        with torch.no_grad():
            for p, g in zip(network.parameters(), gradients, strict=True):
                p.sub_(1e-5 * g / length)
        losses.append(MSE.total(network(data.inputs)[0], data.targets, None))
        falls.append(float((losses[0] - losses[1]).detach()))
        with torch.no_grad():
            for p, old in zip(network.parameters(), before, strict=True):
                p.copy_(old)
    assert falls[1] / falls[0] == pytest.approx(1 / bias.cosine[0], rel=1e-3)


@pytest.mark.parametrize(
    ("allowed", "found", "change"),
    [(0.2, "not measured", "0.3"), (0.5, "ruled out", ""), (1.9, "ruled out", ""), (2.1, "supported", "0.033")],
)
def test_steps_are_held_against_what_the_curvature_allows(allowed: float, found: str, change: str) -> None:
    sharp = Probed(200, HEALTHY, sharpness=Sharpness(20 * allowed, 0.0, 0.0, 0.1, 2.0))
    test = of("step size", tried(sharp))
    assert (test.found, test.evidence) == (found, "sign")
    assert test.value == pytest.approx(allowed)
    assert test.change == (f"optimizer.lr={change}" if change else "")


def test_steps_that_add_up_to_nothing_decide() -> None:
    test = of("step size", tried(moving(1e-6, 200)))
    assert (test.found, test.evidence, test.change) == ("supported", "decisive", "optimizer.lr=1")


@pytest.mark.parametrize(
    ("probed", "found", "cause"),
    [
        (Probed(200, falling(-0.5)), "supported", "gradient"),
        (Probed(200, falling(0.5)), "supported", "gradient"),
        (Probed(200, HEALTHY, parting(0.3)), "supported", "gradient"),
        (saturated(0.9, 200), "supported", "saturation"),
        (Probed(200, HEALTHY), "ruled out", "gradient"),
        (Probed(200), "not measured", "gradient"),
    ],
)
def test_a_gradient_that_vanishes_or_explodes_is_the_cause_and_saturation_is_named_with_it(
    probed: Probed, found: str, cause: str
) -> None:
    assert of(cause, tried(probed)).found == found


def test_a_short_memory_of_a_guessed_horizon_is_no_finding() -> None:
    test = of("gradient", tried(Probed(200, falling(-0.5)), setup=replace(SETUP, horizon_known=False)))
    assert test.found == "not measured"
    assert test.value == pytest.approx(math.exp(-10))


def test_expressivity_is_a_matter_of_task_and_core_once_the_gradient_reaches_back() -> None:
    state = replace(SETUP, tracks_state=True, more_expressive="model=gru")
    found = of("expressivity", tried(Probed(200, HEALTHY), setup=state))
    assert (found.found, found.change) == ("supported", "model=gru")
    assert of("expressivity", tried(Probed(200, falling(-0.5)), setup=state)).found == "not measured"
    assert (
        of("expressivity", tried(Probed(200, HEALTHY), setup=replace(state, more_expressive=""))).found == "ruled out"
    )
    assert of("expressivity", tried(Probed(200, HEALTHY))).found == "ruled out"
    guessed = of("expressivity", tried(Probed(200, HEALTHY), setup=replace(SETUP, horizon_known=False)))
    assert guessed.found == "not measured"


@pytest.mark.parametrize(("ratio", "found"), [(99.0, "ruled out"), (101.0, "supported"), (math.nan, "not measured")])
def test_sensitivity_is_a_sign_above_that_of_a_hundred_states_without_memory(ratio: float, found: str) -> None:
    probed = Probed(200, HEALTHY, sensitivity=Sensitivity(np.array([8 * ratio]), np.array([1.0])))
    test = of("sensitivity", tried(probed))
    assert (test.found, test.evidence) == (found, "sign")


def test_signs_of_budget_and_overfitting_come_with_their_numbers() -> None:
    found = tried(Probed(200, HEALTHY), losses=np.repeat([1.0, 0.9], [150, 50]))
    assert (of("budget", found).found, named(found)) == ("supported", "budget")
    assert of("budget", found).value == pytest.approx(0.9)
    fitted = tried(Probed(200, HEALTHY), losses=np.repeat([1.0, 0.3], [20, 180]))
    assert (of("overfitting", fitted).found, of("overfitting", fitted).value) == ("supported", pytest.approx(0.3))
    assert of("overfitting", tried(validation=math.nan)).found == "not measured"


def test_a_training_loss_that_falls_without_the_validation_loss_asks_for_no_more_updates() -> None:
    losses, norms = np.repeat([1.0, 0.9], [150, 50]), np.full(200, 0.5)
    for validations, found in (([1.0, 0.8, 0.85, 0.85, 0.82], "ruled out"), ([1.0, 0.8, 0.7, 0.6, 0.5], "supported")):
        course = Course(losses, norms, norms, None, 1.0, None, validations)
        test = of("budget", try_all(case_of(Facts(SETUP, course, [Probed(200, HEALTHY)], GUESS))))
        assert test.found == found
    assert "then 0.9 in the last quarter" in test.why


def test_where_no_opponent_learned_anything_there_may_be_nothing_to_learn() -> None:
    hopeless = replace(GUESS, opponent=(0.995, "HAR"))
    setup = replace(SETUP, horizon_known=False)
    found = tried(Probed(200, HEALTHY), standing=hopeless, setup=setup)
    assert (named(found), of(NOTHING, found).name) == (NOTHING, "unknown")
    assert of(NOTHING, tried(Probed(200, HEALTHY), setup=setup)).found == "ruled out"
    assert of(NOTHING, tried(Probed(200, HEALTHY), standing=hopeless)).found == "ruled out"  # a constructed task


def test_capacity_is_never_named_without_a_wider_run() -> None:
    test = of("capacity", tried(Probed(200, HEALTHY), standing=PART))
    assert (test.found, test.change) == ("not measured", "model.hidden_size=16")


def test_what_destroyed_a_run_was_the_reach_where_its_truncated_gradient_was_measured_to_point_uphill() -> None:
    ruined, norms = replace(GUESS, value=2.0), np.full(200, 0.5)
    for cosine, cause in ((-0.9, "reach"), (0.9, "step size")):
        before = biased(2.0, cosine)._replace(update=0)
        found = tried(before, setup=GUESSED, standing=ruined, losses=leap(9.0))
        assert named(found) == cause
        assert of("reach", found).value == cosine
        diagnosed = diagnose(Facts(GUESSED, Course(leap(9.0), norms, norms, None, 1.0), [before], ruined))
        assert diagnosed.cause.name == cause
    after = tried(biased(2.0, -0.9)._replace(update=200), setup=GUESSED, standing=ruined, losses=leap(9.0))
    assert of("reach", after).found == "not measured"  # it was measured of a network that was destroyed already
    changing = replace(GUESSED, reach_key="bptt.k2_max")
    for setup, cosine in ((changing, -0.9), (GUESSED, math.nan)):
        unknown = tried(biased(2.0, cosine)._replace(update=0), setup=setup, standing=ruined, losses=leap(9.0))
        assert (of("reach", unknown).found, named(unknown)) == ("not measured", "step size")
    grown = biased(2.0, -0.9)._replace(update=0, flow=falling(0.5))
    both = tried(grown, setup=GUESSED, standing=ruined, losses=leap(9.0))
    facts = Facts(GUESSED, Course(leap(9.0), norms, norms, None, 1.0), [grown], ruined)
    assert named(both) == diagnose(facts).cause.name  # whichever comes first, both say it
    whole = tried(biased(2.0, -0.9)._replace(update=0), setup=SETUP, standing=ruined, losses=leap(9.0))
    assert of("reach", whole).found == "ruled out"


def test_of_a_destroyed_run_steps_and_gradient_are_tested_by_what_was_before() -> None:
    ruined = replace(GUESS, value=2.0)
    found = tried(Probed(0, HEALTHY), standing=ruined, losses=leap(9.0))
    assert [test.cause for test in found] == ["gradient", "reach", "step size"]
    assert [test.found for test in found] == ["ruled out", "ruled out", "supported"]
    grown = tried(Probed(0, falling(0.5)), standing=ruined, losses=leap(9.0))
    assert [test.found for test in grown] == ["supported", "ruled out", "not measured"]
    gone = tried(standing=ruined, losses=FLAT, diverged=200)
    assert (of("step size", gone).value, of("gradient", gone).found) == (math.inf, "not measured")


# On real networks.


def measured(network: RecurrentModel, horizon: int = 20) -> list[CauseTest]:
    data = batch(80, 16, 3)
    probed = Probed(
        200, gradient_flow(network, MSE, data, 60, 16), sensitivity=sensitivity(network.core, data.inputs, 2)
    )
    return tried(probed, setup=replace(SETUP, horizon=horizon, hidden_size=6))


@pytest.mark.parametrize(("rho", "cause"), [(0.6, "gradient"), (0.97, "none"), (1.4, "gradient")])
def test_a_linear_network_has_the_cause_that_its_radius_says(rho: float, cause: str) -> None:
    assert named(measured(linear(rho * orthogonal(6)))) == cause


def test_the_eigenvalues_of_a_linear_recurrence_are_those_of_its_matrix_and_no_input_changes_them() -> None:
    matrix = 0.8 * orthogonal(6)
    found = transition(linear(matrix), batch(10, 4, 3))
    assert found is not None
    assert found.lowest == pytest.approx(float(torch.linalg.eigvals(matrix).real.min()), abs=1e-6)
    assert found.depends == pytest.approx(0.0, abs=1e-9)
    gated = transition(build("gru"), batch(10, 4, 3))
    assert gated is not None
    assert gated.depends > 0.01


# Measures at the end of a run.


@pytest.fixture
def module(configure: Callable[..., Config]) -> tuple[RecurrentModule, Facts]:
    config = configure(
        "model.hidden_size=4", "trainer.max_updates=40", "bptt.k2=5", "task.batch_size=64", "probe=end", "seed=1"
    )
    task, trained = assemble(config)
    fit(trained, config.trainer, config.seed, [])
    guess = task.baseline_metrics("test")[task.primary]
    stands = Standing(task.primary, guess, guess, (guess / 2, "HAR"), task.direction)
    return trained, facts_of(trained, Setup.of(config, False, 4), stands, 1.0)


def test_what_is_measured_at_the_end_costs_a_twentieth_of_the_run_at_most(
    module: tuple[RecurrentModule, Facts],
) -> None:
    trained, facts = module
    batches = 40 * trained.pace.steps / next(trained.task.batches("train").epoch(0)).steps
    assert allowance(trained) == pytest.approx(batches / 20)
    case = examined(trained, facts, allowance(trained))
    assert set(case.missing) == {"truncation", "sharpness", "sensitivity"}
    assert "it costs 20 training steps" in case.unmeasured("truncation")
    enough = float(price("truncation", trained))
    assert set(examined(trained, facts, enough).missing) == {"sharpness", "sensitivity"}


def test_measuring_all_changes_neither_the_network_nor_the_random_state(module: tuple[RecurrentModule, Facts]) -> None:
    trained, facts = module
    kept = [p.detach().clone() for p in trained.parameters()]
    random, taken = torch.get_rng_state(), len(trained.probes.taken)
    case = examined(trained, facts)
    assert not case.missing
    assert all(getattr(case.last, name) is not None for name in plans(facts.setup))
    assert all(torch.equal(a, b) for a, b in zip(kept, trained.parameters(), strict=True))
    assert torch.equal(random, torch.get_rng_state())
    assert len(trained.probes.taken) == taken
    assert {test.found for test in try_all(case) if test.cause == "sensitivity"} <= {"ruled out", "supported"}


def test_a_run_that_is_ahead_is_not_asked_and_a_destroyed_one_not_measured(
    module: tuple[RecurrentModule, Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, facts = module
    monkeypatch.setattr(RecurrentModule, "measure", None)  # whoever measures fails
    assert facts.standing is not None
    ahead = replace(facts, standing=replace(facts.standing, value=0.0))
    assert at_the_end(trained, ahead, diagnose(ahead)) == []
    lost = replace(facts, course=replace(facts.course, diverged=40))
    assert [test.cause for test in at_the_end(trained, lost, diagnose(lost))] == ["gradient", "reach", "step size"]
