"""Which runs are the same run: tested by training them, and against what Hydra composes."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from study.installation import CONF
from study.schema import Config
from study.schema.base import Decides, Strict, group_classes, option_names
from study.schema.defaults import defaults, fill, option, options
from study.schema.identity import decides_training, deciding, flat_record, flatten, mark, marked, nested_record
from study.tracking.reader import find
from study.train import train
from tests.composed import composed

Configure = Callable[..., Config]
TINY = ("task=forecasting_sine_mix", "model.hidden_size=4", "trainer.max_updates=12", "trainer.checkpoint=null")
GROUPS = [name for name, field in Config.model_fields.items() if list(group_classes(field.annotation))]

SAME = {
    "probe=history": "the probes",
    "task.horizon=3": "the lag of the verdict",
    "task.season=5": "the naive forecast that errors are scaled by",
    "tracking.points=10": "the charts",
    "trainer.progress_bar=true": "what is shown",
    "trainer.validate_every=5": "validations that end nothing",
    "bptt.update=sequence": "sequences of one window",
}
OTHER = ("seed=1", "optimizer.lr=0.01", "bptt.k2=10", "trainer.max_updates=11")


def trained(config: Config) -> tuple[pd.DataFrame, str]:
    """The history of a run and a digest of its last weights."""
    (run,) = find(config.tracking.uri, train(config).run_id)
    return run.table("gradients.parquet"), run.tags["weights_final"]


def assert_same_bits(one: Config, other: Config) -> None:
    (history, weights), (others_history, others_weights) = trained(one), trained(other)
    pd.testing.assert_frame_equal(history, others_history, check_exact=True)
    assert weights == others_weights


def test_what_is_said_to_decide_nothing_changes_no_bit_of_the_training(configure: Configure) -> None:
    plain, other = configure(*TINY, "probe=none"), configure(*TINY, *SAME)
    assert deciding(plain) == deciding(other)
    assert_same_bits(plain, other)


def test_an_update_every_k2_steps_is_the_same_run_however_it_is_spelled(configure: Configure) -> None:
    plain, other = (configure(*TINY, "probe=none", "bptt.k2=10", f"bptt.k1={k1}") for k1 in ("null", "10"))
    assert deciding(plain) == deciding(other)
    assert_same_bits(plain, other)


@pytest.mark.parametrize("override", OTHER)
def test_what_changes_the_training_is_no_part_of_the_same_arm_but_for_the_seed(
    configure: Configure, override: str
) -> None:
    same = deciding(configure(*TINY)) == deciding(configure(*TINY, override))
    assert same == (override == "seed=1")


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        ("bptt.k1=5 bptt.k2=10", False),
        ("trainer.validate_every=9 trainer.patience=2", False),
        ("trainer.validate_every=9 trainer.max_updates=null trainer.max_seconds=1", False),
        ("bptt.k2=10 bptt.update=sequence", False),
        ("trainer.accelerator=cuda", False),
        ("slug=other", True),
        ("sweep.trials=3", True),
        ("data.cache=/mnt", True),
    ],
)
def test_a_key_with_an_effect_is_kept(configure: Configure, overrides: str, same: bool) -> None:
    first, *others = overrides.split()
    assert (deciding(configure(*others)) == deciding(configure(first, *others))) == same


def test_of_texts_in_three_files_the_shares_do_not_matter(configure: Configure) -> None:
    three = ("task=language_text", "task.path=a", "task.validation_path=b", "task.test_path=c")
    assert deciding(configure(*three, "task.test=0.3")) == deciding(configure(*three))
    assert deciding(configure(*three[:2], "task.test=0.3")) != deciding(configure(*three[:2]))
    assert deciding(configure(*three)) != deciding(configure(*three[:3], "task.test_path=d"))


def test_marks_stand_on_these_keys_and_all_others_decide() -> None:
    assert marked(Decides.SEED) == ("seed",)
    paths = {"task.path", "task.validation_path", "task.test_path", "model.file", "loss.file", "clip.file"}
    assert set(marked(Decides.DATA)) == paths
    assert set(marked(Decides.HERE)) == {"data", "tracking.uri", "sweep", "trainer.progress_bar"}
    kept = {"slug", "task.horizon", "task.test_lengths", "task.season", "task.frequency", "probe"}
    kept |= {"trainer.checkpoint", "trainer.profiler", "tracking"}
    assert set(marked(Decides.RECORD)) == kept


def test_a_mark_of_a_group_holds_for_keys_that_are_gone_and_its_keys_may_have_others() -> None:
    assert mark("probe.gone.since") is Decides.RECORD
    assert (mark("tracking"), mark("tracking.points"), mark("tracking.uri")) == (
        Decides.RECORD,
        Decides.RECORD,
        Decides.HERE,
    )
    assert decides_training("model.gone")
    assert decides_training("gone")


def test_a_record_of_older_code_has_the_default_of_every_key_added_since(configure: Configure) -> None:
    config = configure("model=lstm", "clip=norm", "task=language_bible_char")
    record = flat_record(config)
    for key in record:
        if not key.endswith(".name"):
            older = {k: v for k, v in record.items() if k != key}
            assert deciding(older) == deciding(config), key
    groups = {key: value for key, value in record.items() if key.partition(".")[0] not in ("bptt", "optimizer", "clip")}
    assert deciding(groups) == deciding(configure("model=lstm", "task=language_bible_char"))
    assert deciding(record | {"model.gone": "3"}) != deciding(config)


def test_a_record_of_before_truncation_had_options_is_of_windows_of_fixed_lengths(configure: Configure) -> None:
    config = configure("bptt.k2=10")
    older = {key: value for key, value in flat_record(config).items() if key != "bptt.name"}
    assert deciding(older) == deciding(config) != deciding(configure("bptt=artbp"))
    nested = nested_record(config)
    del nested["bptt"]["name"]
    assert fill(nested)["bptt.name"] == "truncated"
    assert nested["bptt"] == nested_record(config)["bptt"]


def test_a_record_holds_nothing_of_this_machine(configure: Configure) -> None:
    config = configure()
    assert set(flat_record(config)) == {key for key, _ in flatten(nested_record(config))}
    missing = {key for key, _ in flatten(config.model_dump())} - set(flat_record(config))
    assert {mark(key) for key in missing} == {Decides.HERE}
    assert not any(mark(key) is Decides.HERE for key in flat_record(config))


@pytest.mark.parametrize("number", range(max(len(options(group)) for group in GROUPS)))
def test_defaults_are_what_hydra_composes(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option of every group at once, as to compose takes a while; groups with fewer have theirs several times."""
    monkeypatch.setenv("STUDY_DATABASE", "me@db/optuna")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here:5000")
    chosen = {group: options(group)[number % len(options(group))] for group in GROUPS}
    brought = {}
    if number >= len(options("loss")):  # else a task brings the loss that fits it
        del chosen["loss"]
        brought = {"loss": option("loss", "mse")}
    found = OmegaConf.to_container(composed(*(f"{group}={name}" for group, name in chosen.items())))
    assert isinstance(found, dict)
    assert defaults(chosen) == found | brought


CHOSEN = ("task", "model", "bptt", "regularizer", "loss", "clip", "optimizer", "schedule", "trainer")


@pytest.mark.parametrize("group", CHOSEN)
def test_a_default_reads_like_the_value_of_a_checked_configuration(group: str) -> None:
    for name in options(group):
        values = option(group, name)
        found = [found for found in group_classes(Config.model_fields[group].annotation) if fits(found, values)]
        stated = {key: value for key, value in values.items() if value not in (None, "???")}
        for key, value in stated.items() if found else ():
            kind: Any = found[0].model_fields[key].annotation
            assert str(TypeAdapter(kind).validate_python(value)) == str(value), f"{group}.{key}"


def fits(group: type[Strict], values: dict[str, Any]) -> bool:
    return "name" not in group.model_fields or values["name"] in option_names(group)


def test_defaults_leave_a_running_hydra_alone() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="mine"):
        before = GlobalHydra.instance().hydra
        defaults({"model": "gru", "probe": "full"})
        assert GlobalHydra.instance().hydra is before
    GlobalHydra.instance().clear()
    defaults({"model": "elman"})
    assert not GlobalHydra.instance().is_initialized()


def test_filling_a_record_adds_what_it_lacks_and_changes_nothing_it_has() -> None:
    record = {"model": {"name": "lstm", "hidden_size": 3}, "seed": 5}
    filled = fill(record)
    assert record["model"] == option("model", "lstm") | {"hidden_size": 3}
    assert filled["model.forget_bias"] == 1.0
    assert {"model.hidden_size", "seed"}.isdisjoint(filled)
    assert {"task", "probe", "slug"} <= set(filled)
    assert option("model", "../task/forecasting_stocks") == {}


def test_runs_made_before_probes_measured_the_start_count_as_not_having_measured_it() -> None:
    """Else a rerun would have points that the original has not, and call them a difference."""
    record = {"probe": {"every": None, "per_decade": None}, "model": {"name": "lstm"}}
    assert fill(record)["probe.start"] is False
    assert option("probe", "end")["start"] is True
    assert defaults({})["probe"]["start"] is True
