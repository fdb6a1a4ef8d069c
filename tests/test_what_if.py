"""What other clip policies would have done to a finished run: held against closed forms and against training."""

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.analysis.what_if import Past, Replay, askable, deeds, first_difference, replay, summary
from study.ask.clips import PERCENTILES, Wanted, changes, checked, wanted
from study.errors import ConfigError
from study.schema.clip import CLIPS, ClipConfig
from study.train import assemble
from study.training.trainer import fit
from tests.composed import configured

UPDATES = 40
TINY = ("model.hidden_size=4", "task.batch_size=64", f"trainer.max_updates={UPDATES}", "optimizer.lr=0.1", "probe=none")
ACTING: dict[str, Any] = {"threshold": 0.2, "percentile": 50.0, "warmup": 5, "maximum": 0.3}
"""Values with which a policy that has such options acts in a run this short."""
OWN = """from study.learning.clipping.contract import Decision, NormClip, within
class Half(NormClip):
    def decide(self, norms, total):
        return Decision(within(total, 0.4))
"""


def acting(name: str) -> ClipConfig:
    return checked(name, {key: value for key, value in ACTING.items() if key in CLIPS.config(name).model_fields})


ASKED = [name for name in CLIPS if askable(acting(name)) is not None]
"""Every policy that can be asked."""


@cache
def trained(name: str) -> pd.DataFrame:
    """The history of a tiny run under a policy, tracked nowhere."""
    config = acting(name)
    clip = [f"clip={name}", *(f"clip.{key}={value}" for key, value in changes(config).items())]
    composed = configured("forecasting_sine_mix", *TINY, *clip, "trainer.progress_bar=false")
    _, module = assemble(composed)
    fit(module, composed.trainer, composed.seed, [])
    return module.history.table().to_pandas()


def replayed(config: ClipConfig, past: Past) -> Replay:
    found = replay(config, past)
    assert found is not None
    return found


def history(*norms: list[float], applied: list[float] | None = None, **records: list[float]) -> Past:
    """Updates with these norms of two parameters; nothing was clipped, if nothing is said."""
    total = np.linalg.norm(np.array(norms), axis=1)
    fixed = {
        "loss": 1.0,
        "lr": 0.1,
        "grad_norm/total": total,
        "grad_norm/applied": total if applied is None else applied,
    }
    each = {f"grad_norm/{place}": column for place, column in enumerate(np.array(norms).T)}
    return Past.of(pd.DataFrame(fixed | each | {f"clip/{key}": values for key, values in records.items()}))


def asked(past: Past, own: ClipConfig, other: ClipConfig) -> dict[str, Any]:
    return summary(past, deeds(past, replay(own, past)), replayed(other, past))


NONE = checked("none", {})
FINE, LONG = [0.3, 0.4], [3.0, 4.0]  # norms of .5 and 5


def test_a_threshold_acts_where_a_norm_exceeds_it_and_cuts_it_to_that() -> None:
    past, norm = history(FINE, LONG, FINE, [6.0, 8.0]), checked("norm", {"threshold": 2.5})
    found = replayed(norm, past)
    assert found.course.applied.tolist() == pytest.approx([0.5, 2.5, 0.5, 2.5])
    assert found.factors.tolist() == [[1, 1], [0.5, 0.5], [1, 1], [0.25, 0.25]]
    assert found.limit.tolist() == [2.5] * 4
    row = asked(past, NONE, norm)
    assert (row["acted"], row["role"], row["first"], row["last"]) == (0.5, "frequent", 2, 4)
    assert (row["first_difference"], row["exact"], row["acted_exact"]) == (2, 2, 0.5)
    assert (row["median_scale"], row["smallest_scale"], row["effective_step"]) == (0.375, 0.25, 0.6875)
    assert [row[f"quarter_{n}"] for n in (1, 2, 3, 4)] == [0, 1, 0, 1]


def test_parameters_looked_at_one_by_one_differ_from_the_first_that_is_cut() -> None:
    past = history([0.1, 0.2], [3.0, 0.2])
    row = asked(past, NONE, checked("per_parameter", {"threshold": 0.3}))
    assert (row["acted"], row["parts"], row["first_difference"]) == (0.5, 0.25, 2)


def test_a_gradient_of_zero_is_the_same_whatever_it_is_multiplied_with() -> None:
    past = history([0.0, 0.2], [0.0, 0.4])
    whole, parts = checked("norm", {"threshold": 0.2}), checked("per_parameter", {"threshold": 0.2})
    assert np.isnan(asked(history([0.0, 0.2], [0.0, 0.4], applied=[0.2, 0.2]), whole, parts)["first_difference"])
    assert asked(past, NONE, parts)["first_difference"] == 2


def test_what_is_not_finite_is_dropped_by_a_policy_that_skips_and_the_end_under_every_other() -> None:
    past = history(FINE, [math.nan, 1.0], LONG)
    skipped = asked(past, NONE, checked("skip", {}))
    assert (skipped["not_finite"], skipped["dropped"], skipped["first_difference"]) == (1, 1, 2)
    cut = asked(past, NONE, checked("norm", {"threshold": 100.0}))
    assert (cut["not_finite"], cut["dropped"]) == (1, 0)
    assert np.isnan(cut["first_difference"])


def test_updates_that_a_policy_cut_which_cannot_be_asked_count_as_different() -> None:
    past, value = history(FINE, LONG, LONG, applied=[0.5, 5.0, 3.0]), checked("value", {})
    assert replay(value, past) is None
    did = deeds(past, None)
    assert did.proven is None
    assert first_difference(past, did, replayed(NONE, past)) == 3


def test_where_the_flow_was_cut_the_norms_are_no_others_so_nothing_is_exact_there() -> None:
    past = history(FINE, LONG, share=[0.0, 0.5])
    did = deeds(past, None)
    assert summary(past, did, replayed(NONE, past))["exact"] == 2
    assert summary(past._replace(of_the_flow=True), did, replayed(NONE, past))["exact"] == 1


def test_a_record_that_the_own_policy_does_not_give_is_not_proven_and_not_trusted() -> None:
    past, norm = history(LONG, LONG, applied=[2.5, 2.4]), checked("norm", {"threshold": 2.5})
    did = deeds(past, replay(norm, past))
    assert did.proven is not None
    assert did.proven.tolist() == [True, False]
    assert first_difference(past, did, replayed(norm, past)) == 2


def test_norms_too_close_to_a_limit_are_counted_but_not_where_the_limit_is_the_norm_itself() -> None:
    near = [[0.6 * x, 0.8 * x] for x in (1 - 5e-7, 1 + 5e-7, 1 - 1e-5, 1 + 1e-5)]
    assert replayed(checked("norm", {"threshold": 1.0}), history(*near)).close.tolist() == [True, True, False, False]
    rising = history(*([0.6 * x, 0.8 * x] for x in (1.0, 2.0, 3.0)))
    assert not replayed(checked("autoclip", {"percentile": 99.0}), rising).close[0]


@pytest.mark.parametrize("name", ASKED)
def test_up_to_the_first_difference_training_does_what_was_predicted_and_there_it_differs(name: str) -> None:
    base, real = trained("none"), trained(name)
    past, seen = Past.of(base), Past.of(real)
    predicted = replayed(acting(name), past)
    difference = first_difference(past, deeds(past, replay(NONE, past)), predicted)
    shared = [column for column in base if column in real]
    other = (base[shared] != real[shared]).any(axis=1)
    assert difference == (int(other.argmax()) + 1 if other.any() else None)
    exact = slice(difference)
    assert np.array_equal(predicted.course.applied[exact], seen.course.applied[exact])
    for column, mine in (("clip/limit", predicted.limit), ("clip/share", predicted.course.share)):
        if column in real:
            assert mine is not None
            assert np.array_equal(mine[exact], real[column].to_numpy()[exact], equal_nan=True)


@pytest.mark.parametrize("name", ASKED)
def test_the_own_policy_of_a_run_replayed_gives_its_record(name: str) -> None:
    past = Past.of(trained(name))
    own = replayed(acting(name), past)
    assert np.array_equal(own.course.applied, past.course.applied)
    assert np.array_equal(own.course.norms, past.course.norms)
    assert first_difference(past, deeds(past, own), own) is None


def test_the_policies_act_in_these_runs() -> None:
    acted = [name for name in ASKED if not Past.of(trained(name)).untouched.all()]
    assert {*ASKED} - {*acted} == {"none", "skip"}


def test_without_a_wish_every_policy_is_asked_with_thresholds_on_the_scale_of_the_run() -> None:
    found = wanted("")
    assert {one.name for one in found} == {*CLIPS}
    assert [one.percentile for one in found if one.name == "norm"] == [*PERCENTILES]
    norms = np.arange(1.0, 101.0)
    thresholds = [one.config(norms).threshold for one in found if one.name == "norm"]  # type: ignore[union-attr]
    assert all(threshold >= np.percentile(norms, p) for threshold, p in zip(thresholds, PERCENTILES, strict=True))
    assert thresholds == pytest.approx(np.percentile(norms, PERCENTILES), rel=1e-3)
    assert Wanted("norm", percentile=50).config(np.array([])) is None


def test_what_is_typed_is_read() -> None:
    found = wanted("norm=.1,3 autoclip zclip.z=3 percentile=90 norm=.1")
    assert [(one.name, dict(one.values)) for one in found] == [
        ("norm", {"threshold": 0.1}),
        ("norm", {"threshold": 3}),
        ("autoclip", {}),
        ("zclip", {"z": 3}),
        ("percentile", {"percentile": 90}),
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("nrom=1", "'nrom': no such policy; did you mean 'norm'"),
        ("own", "'own': no such policy"),
        ("norm=-1", r"clip=norm, threshold = -1\.0: should be greater than 0"),
        ("norm=nan", "clip=norm, threshold = nan"),
        ("norm=", "'' is no number"),
        ("norm=a", "'a' is no number"),
        ("percentile=100", "clip=percentile, percentile = 100: should be less than 100"),
        ("zclip.zz=1", "zclip has these options: alpha, z, maximum, warmup"),
        ("zclip.z", "'' is no number"),
        ("none=1", "none has these options: none"),
    ],
)
def test_a_policy_or_number_that_cannot_be_is_refused_with_what_is_allowed(typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        wanted(typed)
