"""Arms are named by what sets them apart, and by no more; runs by their arm and seed."""

import pandas as pd

from study.report.data.runs import recorded_names
from study.schema.arm_names import name_alone, name_arms, name_run, name_within_tasks, put_tasks_before
from study.schema.task import TASKS


def test_arms_are_named_by_the_fewest_values_that_tell_them_apart() -> None:
    common = {"task.name": "copying", "optimizer.lr": "0.1"}
    arms = {
        "a": {**common, "model.name": "lstm", "model.forget_bias": "1", "clip.name": "none"},
        "b": {**common, "model.name": "elman", "clip.name": "none"},
        "c": {**common, "model.name": "elman", "clip.name": "norm", "clip.threshold": "1.0"},
    }
    assert name_arms(arms) == {"a": "lstm no clip", "b": "elman no clip", "c": "elman clip norm"}


def test_what_has_no_value_is_named_by_what_that_means() -> None:
    assert name_arms({"a": {"bptt.k2": "5"}, "b": {"bptt.k2": "None"}}) == {"a": "k2=5", "b": "full BPTT"}
    assert name_arms({"a": {"bptt.k1": "5"}, "b": {"bptt.k1": "None"}}) == {"a": "k1=5", "b": "k1=k2"}
    assert name_arms({"a": {"x.limit": "5"}, "b": {"x.limit": "None"}}) == {"a": "limit=5", "b": "no limit"}


def test_arms_that_differ_in_a_value_alone_are_named_by_it() -> None:
    assert set(name_arms({"a": {"bptt.k2": "5"}, "b": {"bptt.k2": "50"}}).values()) == {"k2=5", "k2=50"}


def test_arms_of_several_tasks_are_named_each_within_its_task_and_with_the_task_before() -> None:
    stocks, bible = {"task.name": "forecasting_stocks"}, {"task.name": "language_bible_char"}
    arms = {
        "a": {**stocks, "clip.name": "none", "optimizer.lr": "1"},
        "b": {**stocks, "clip.name": "norm", "optimizer.lr": "1"},
        "c": {**bible, "clip.name": "none", "optimizer.lr": "2"},
        "d": {**bible, "clip.name": "norm", "optimizer.lr": "2"},
    }
    names = name_within_tasks(arms, {"d": "as published"})
    assert names == {"a": "no clip", "b": "clip norm", "c": "no clip", "d": "as published"}
    whole = put_tasks_before(names, {arm: values["task.name"] for arm, values in arms.items()}).values()
    assert [*whole] == [
        "stocks no clip",
        "stocks clip norm",
        "bible_char no clip",
        "bible_char as published",
    ]
    assert put_tasks_before(names, dict.fromkeys(arms, "forecasting_stocks")) == names
    clash = put_tasks_before({"a": "gru", "b": "gru"}, {"a": "forecasting_csv", "b": "labelling_csv"})
    assert list(clash.values()) == ["forecasting_csv gru", "labelling_csv gru"]


def test_every_task_is_named_after_its_family() -> None:
    for name in TASKS:
        assert name.partition("_")[0] == TASKS.config(name).family


def test_runs_are_named_by_their_arm_their_trial_and_their_seed() -> None:
    assert name_run("elman no clip", 0) == "elman no clip s0"
    assert name_run("elman", None, 2) == "elman trial 3"
    assert name_run("elman", 1001, 2) == "elman trial 3 s1001"
    assert name_alone({"model.name": "gru", "clip.name": "norm", "task.name": "language_text"}) == "gru clip norm text"


def test_a_report_calls_arms_as_their_newest_sweep_did_where_that_sets_them_apart() -> None:
    runs = pd.DataFrame({"arm": ["1", "1", "2"], "arm_name": ["elman", "elman no clip", "lstm"]})
    assert recorded_names(runs) == {"1": "elman no clip", "2": "lstm"}
    assert recorded_names(runs.assign(arm_name=["elman", "", "lstm"])) == {"1": "elman", "2": "lstm"}
    assert recorded_names(runs.assign(arm_name=["elman", "elman", ""])) == {}
    assert recorded_names(runs.assign(arm_name="elman")) == {}
