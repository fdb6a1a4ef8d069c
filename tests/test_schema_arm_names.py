"""Arms are named by what sets them apart, and by no more."""

from study.schema.arm_names import name_arms


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
