"""Causes by the order of events and the last measures, and the one change that would test each."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from study.analysis.diagnosis.cause import Cause
from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup, Standing
from study.analysis.diagnosis.judge import diagnose
from study.probes.geometry import Geometry
from study.probes.saturation import Saturation, Share
from study.probes.sensitivity import Sensitivity
from study.probes.sharpness import Sharpness
from study.schema import Config
from study.schema.defaults import option
from study.schema.model import MODELS
from study.schema.model.nonlinear import LSTMConfig
from tests.test_diagnosis import falling, leap, parting

SETUP = Setup(20, horizon_known=True, rate=0.1, hidden_size=8, longer_memory="model=lstm", wider="model.hidden_size=16")
SETUP = replace(SETUP, longer_training="trainer.max_updates=600")
GUESS = Standing("rmse", 1.0, 1.0, (0.5, "HAR"), "minimize")
PART = replace(GUESS, value=0.8, solved=False)
FLAT, HEALTHY = np.ones(200), falling(-0.01)


def cause(
    *probed: Probed,
    setup: Setup = SETUP,
    standing: Standing = GUESS,
    losses: np.ndarray = FLAT,
    norms: object = 0.5,
    validation: float = math.nan,
) -> Cause:
    of_norm = np.broadcast_to(np.asarray(norms, float), len(losses))
    return diagnose(Facts(setup, Course(losses, of_norm, of_norm, None, validation), probed, standing)).cause


def test_a_run_that_is_well_has_no_cause() -> None:
    learnt = replace(GUESS, value=0.8)
    assert cause(Probed(200, HEALTHY), standing=learnt).name == "none"
    assert cause(Probed(200, falling(-1.0)), standing=replace(PART, solved=True)).name == "none"


def test_gradients_cut_off_before_the_known_lag_are_too_short_and_k2_is_to_be_raised() -> None:
    found = cause(Probed(200, HEALTHY), setup=replace(SETUP, reach=19))
    assert (found.name, found.change) == ("reach", "bptt.k2=21")
    assert cause(Probed(200, HEALTHY), setup=replace(SETUP, reach=20)).name != "reach"
    assert cause(Probed(200, HEALTHY), setup=replace(SETUP, reach=4, horizon_known=False)).name != "reach"


def test_a_vanishing_gradient_asks_for_a_core_whose_gradients_last() -> None:
    found = cause(Probed(200, falling(-0.5)))
    assert (found.name, found.change) == ("gradient", "model=lstm")


def test_an_lstm_asks_for_a_forget_gate_that_keeps_1_minus_1_over_horizon() -> None:
    config = LSTMConfig.model_validate(option("model", "lstm"))
    assert config.longer_memory(100) == f"model.forget_bias={math.log(100):.1f}"
    assert config.longer_memory(3) == "model.forget_bias=2.0"


def saturated(share: float, update: int) -> Probed:
    return Probed(update, falling(-0.5), saturation=Saturation([Share(0, "h", "tanh", share, math.nan)]))


@pytest.mark.parametrize(("share", "name"), [(0.5, "gradient"), (0.505, "saturation")])
def test_more_than_half_of_the_units_saturated_are_why_a_gradient_vanishes(share: float, name: str) -> None:
    assert cause(saturated(share, 200)).name == name


def test_saturation_from_the_start_asks_for_other_weights_and_one_that_came_for_smaller_steps() -> None:
    assert cause(saturated(0.9, 0), saturated(0.9, 200)).change == "model.gain=0.33"
    came = cause(saturated(0.1, 0), saturated(0.9, 200))
    assert came.change == "optimizer.lr=0.033"
    assert "90% of the units are saturated or dead, 10% after 0 updates" in came.evidence


def test_a_gradient_that_came_to_explode_is_clipped_at_the_90th_percentile_of_the_first_100_norms() -> None:
    norms = np.concatenate([np.arange(1.0, 101.0), np.full(100, 1000.0)])
    found = cause(Probed(0, HEALTHY), Probed(200, falling(0.5)), norms=norms)
    assert (found.name, found.change) == ("gradient", "clip=norm clip.threshold=90")
    assert found.effect == "the 90th percentile of the first 100 norms"


def test_growth_from_the_start_or_in_spite_of_clipping_asks_for_a_weaker_recurrence() -> None:
    growing = [Probed(0, falling(0.5)), Probed(200, falling(0.5))]
    assert cause(*growing).change == "model.gain=0.5"
    clipped = replace(SETUP, clipped=True)
    assert cause(Probed(0, HEALTHY), growing[1], setup=clipped).change == "model.gain=0.5"
    chaotic = Probed(200, HEALTHY, parting(0.3))
    assert cause(chaotic, setup=replace(SETUP, gain=4.0)).change == "model.gain=1"


def moving(ratio: float, update: int = 0) -> Probed:
    return Probed(update, HEALTHY, geometry=Geometry(1.0, ratio, 1.0, math.nan, math.nan))


def test_a_ruin_asks_for_the_rate_whose_step_moves_the_weights_by_1_percent() -> None:
    found = cause(moving(0.5), standing=replace(GUESS, value=2.0), losses=leap(9.0))
    assert (found.name, found.change) == ("step size", "optimizer.lr=0.002")
    late = np.concatenate([np.ones(100), np.full(100, 9.0)])
    for losses, change in ((leap(9.0), "optimizer.lr=0.01"), (late, "optimizer.lr=0.033")):
        assert cause(moving(0.02), standing=replace(GUESS, value=2.0), losses=losses).change == change


def test_steps_that_add_up_to_nothing_ask_for_a_larger_rate() -> None:
    found = cause(moving(1e-6, 200))
    assert (found.name, found.change) == ("step size", "optimizer.lr=1")


@pytest.mark.parametrize(("of_limit", "name"), [(1.9, "unknown"), (2.1, "step size")])
def test_steps_twice_as_long_as_the_curvature_allows_ask_for_a_smaller_rate(of_limit: float, name: str) -> None:
    sharp = Probed(200, HEALTHY, sharpness=Sharpness(20 * of_limit, 0.0, 0.0, 0.1, 2.0))
    assert cause(sharp).name == name


@pytest.mark.parametrize(("ratio", "name"), [(99.0, "unknown"), (101.0, "sensitivity")])
def test_states_that_small_steps_of_the_weights_move_far_are_named(ratio: float, name: str) -> None:
    sensitive = Probed(200, HEALTHY, sensitivity=Sensitivity(np.array([8 * ratio]), np.array([1.0])))
    assert cause(sensitive).name == name


@pytest.mark.parametrize(("share", "name"), [(0.981, "unknown"), (0.979, "budget")])
def test_a_loss_that_still_falls_asks_for_more_updates(share: float, name: str) -> None:
    found = cause(Probed(200, HEALTHY), losses=np.repeat([1.0, share], [150, 50]))
    assert (found.name, found.change) == (name, "trainer.max_updates=600")


@pytest.mark.parametrize(("share", "name"), [(0.51, "unknown"), (0.49, "overfitting")])
def test_a_training_loss_that_fell_by_half_for_nothing_is_overfitting(share: float, name: str) -> None:
    losses = np.repeat([1.0, share], [20, 180])
    assert cause(Probed(200, HEALTHY), losses=losses, validation=1.0).name == name


@pytest.mark.parametrize("validation", [0.5, math.nan])
def test_a_validation_loss_that_followed_or_was_not_measured_is_no_overfitting(validation: float) -> None:
    """A network may have learned much, and still be behind a strong guess without memory."""
    losses = np.repeat([1.0, 0.3], [20, 180])
    assert cause(Probed(200, HEALTHY), losses=losses, validation=validation).name == "unknown"


def test_a_part_learnt_with_healthy_gradients_is_a_matter_of_capacity() -> None:
    """Also of a core that some states are beyond: that this task has such a state is not known."""
    for setup in (SETUP, replace(SETUP, more_expressive="model=gru")):
        found = cause(Probed(200, HEALTHY), standing=PART, setup=setup)
        assert (found.name, found.change) == ("capacity", "model.hidden_size=16")


STATE = replace(SETUP, tracks_state=True, more_expressive="model=gru")
SHORT = replace(PART, measure="accuracy", value=0.999, direction="maximize", solved=True, unsolved_at=(40, 0.6))


def test_a_core_that_cannot_follow_the_state_of_a_task_is_why_it_fails_though_the_loss_falls() -> None:
    falls = np.geomspace(1.0, 0.1, 200)
    for standing in (PART, GUESS):
        found = cause(Probed(200, HEALTHY), standing=standing, setup=STATE, losses=falls)
        assert (found.name, found.change) == ("expressivity", "model=gru")
        assert cause(Probed(200, HEALTHY), standing=standing, losses=falls).name == "budget"
    able = replace(STATE, more_expressive="")
    assert cause(Probed(200, HEALTHY), standing=PART, setup=able, losses=falls).name == "budget"
    other = replace(STATE, tracks_state=False)
    assert cause(Probed(200, HEALTHY), standing=PART, setup=other, losses=falls).name == "budget"


def test_what_keeps_gradients_from_the_lag_comes_before_what_a_core_can_express() -> None:
    assert cause(Probed(200, falling(-0.5)), standing=PART, setup=STATE).name == "gradient"
    assert cause(Probed(200, HEALTHY), standing=PART, setup=replace(STATE, reach=5)).name == "reach"
    assert cause(Probed(200), standing=PART, setup=STATE).name == "unknown"  # gradients were not measured


def test_a_task_that_is_solved_at_its_own_length_alone_was_not_expressed_by_a_core_that_cannot() -> None:
    found = diagnose(Facts(STATE, Course(FLAT, FLAT, FLAT), [Probed(200, HEALTHY)], SHORT))
    assert (found.outcome, found.cause.name, found.cause.change) == ("solved", "expressivity", "model=gru")
    assert "the task is solved: accuracy 0.999 on test, not at length 40 (accuracy 0.6)" in found.sentence
    assert cause(Probed(200, HEALTHY), standing=replace(SHORT, unsolved_at=None), setup=STATE).name == "none"
    assert cause(Probed(200, HEALTHY), standing=SHORT).name == "none"  # a core that could have
    assert cause(Probed(200, falling(-0.5)), standing=SHORT, setup=STATE).name == "none"  # latched


def test_what_is_known_of_task_and_core_comes_from_their_configurations(configure: Callable[..., Config]) -> None:
    parity = Setup.of(configure("task=labelling_parity"), clipped=False, hidden_size=2)
    assert (parity.tracks_state, parity.more_expressive) == (True, "")
    assert not Setup.of(configure("task=language_copying"), clipped=False, hidden_size=2).tracks_state

    cores = {name: MODELS.config(name).model_validate(option("model", name)) for name in ("lru", "deltanet", "gru")}
    proposed = {name: core.more_expressive() for name, core in cores.items()}
    assert proposed == {"lru": "model=lstm", "deltanet": "model.negative=true", "gru": ""}
    assert cores["deltanet"].model_copy(update={"negative": True}).more_expressive() == ""


def test_where_the_best_opponent_learned_nothing_either_no_change_is_proposed() -> None:
    hopeless = replace(GUESS, opponent=(0.995, "HAR"))
    found = cause(Probed(200, HEALTHY), standing=hopeless, setup=replace(SETUP, horizon_known=False))
    assert (found.name, found.change) == ("unknown", "")
    assert "there may be nothing to be learnt" in found.evidence


def test_the_change_stands_in_the_description_on_the_terminal_and_in_the_tags() -> None:
    course = Course(leap(9.0), np.ones(200), np.ones(200))
    found = diagnose(Facts(SETUP, course, [moving(0.5)], replace(GUESS, value=2.0)))
    assert found.tags()["cause"] == "step size"
    assert found.tags()["to_test"] == "optimizer.lr=0.002"
    assert "**ruined (step size)**: rmse 2 on test" in found.markdown()
    assert "To test that: `optimizer.lr=0.002`" in found.markdown()
    assert "To test that: optimizer.lr=0.002" in str(found)


def test_where_the_gradient_was_not_measured_to_be_healthy_it_is_not_said_to_be() -> None:
    for unmeasured in (Probed(200), Probed(200, falling(0.5))):
        setup = replace(SETUP, more_expressive="model=gru", reach=20, clipped=True)
        assert cause(unmeasured, standing=PART, setup=setup).name in ("unknown", "gradient")


def test_a_ruin_before_which_the_gradient_was_not_measured_says_so_unless_k2_is_1() -> None:
    ruined = replace(GUESS, value=2.0)
    doubt = "whether the gradient grew with the lag before that was not measured"
    assert cause(standing=ruined, losses=leap(9.0)).evidence == doubt
    assert cause(Probed(0, HEALTHY), standing=ruined, losses=leap(9.0)).evidence == ""
    assert cause(standing=ruined, losses=leap(9.0), setup=replace(SETUP, reach=0)).evidence == ""


@pytest.mark.parametrize(
    ("budget", "longer"),
    [
        ("max_updates=200", "trainer.max_updates=600"),
        ("max_steps=5000", "trainer.max_steps=15000"),
        ("max_epochs=2", "trainer.max_epochs=6"),
        ("max_seconds=1.5", "trainer.max_seconds=4.5"),
    ],
)
def test_the_longer_training_that_is_proposed_is_in_the_unit_of_the_budget(
    configure: Callable[..., Config], budget: str, longer: str
) -> None:
    """Else the schema would refuse it: a run has one budget."""
    stated = ["trainer.max_updates=null", f"trainer.{budget}"]
    assert Setup.of(configure(*stated), clipped=False, hidden_size=8).longer_training == longer
    assert configure(*stated, longer).trainer.longer(1) == longer


def test_what_probes_saw_on_the_way_to_a_ruin_is_what_they_saw_at_the_update_that_is_named() -> None:
    def seen(update: int, share: float, flow: float) -> Probed:
        return Probed(update, falling(flow), saturation=Saturation([Share(0, "h", "tanh", share, math.nan)]))

    probed = [seen(0, 0.08, -0.01), seen(10, 0.5, -1.0), seen(50, 0.6, -0.01), seen(200, 1.0, -1.0)]
    course = Course(leap(9.0), np.ones(200), np.ones(200))
    sentence = diagnose(Facts(SETUP, course, probed, replace(GUESS, value=2.0))).sentence
    assert "saturated units rose from 8% to 50% by update 10" in sentence
    assert "since update 200 the gradient 20 steps back is below 1%" in sentence
