"""A logged configuration becomes the run's own configuration again, or a message, and never anything else."""

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import yaml

from study.errors import ConfigError
from study.installation import CONF
from study.reproduce.restore import parse, restore
from study.schema import Config
from study.schema.identity import deciding, flat_record
from study.schema.model import MODELS
from study.tracking import plain

Configure = Callable[..., Config]
STORE = "sqlite:///elsewhere.db"


def dumped(config: Config, **changes: Any) -> bytes:
    """As a run logs it; `task__name=x` changes a nested value, None removes nothing."""
    node = config.model_dump()
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = node
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    return yaml.safe_dump(node).encode()


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def known(group: str) -> list[str]:
    """Options that need no file of the user's own: those are in `test_own`."""
    return [name for name in options(group) if name != "own"]


GROUPS = ("model", "clip", "optimizer", "schedule", "regularizer")


@pytest.mark.parametrize("chosen", [f"{group}={name}" for group in GROUPS for name in known(group)])
def test_every_option_comes_back_as_it_was_logged(configure: Configure, chosen: str) -> None:
    config = configure(chosen, "optimizer.lr=1e-5", "seed=7")
    restored = restore(dumped(config), STORE)
    assert restored.filled == {}
    assert restored.config.tracking.uri == STORE
    shown = {"tracking": {"uri"}, "trainer": {"progress_bar"}}
    assert restored.config.model_dump(exclude=shown) == config.model_dump(exclude=shown)


@pytest.mark.parametrize("group", ["task", "loss", *GROUPS])
def test_every_option_is_named_as_its_file(group: str) -> None:
    assert [yaml.safe_load((CONF / group / f"{name}.yaml").read_text())["name"] for name in options(group)] == options(
        group
    )


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("model", {"_target_": "os.system", "command": "touch hacked"}, "model._target_"),
        ("model__name", {"_target_": "os.system"}, "model.name._target_"),
        ("task__tickers", [{"_partial_": True}], "task.tickers.0._partial_"),
        ("slug", "${oc.env:HOME}", "slug"),
        ("data__carriers", "${oc.env:HOME}/x", "data.carriers"),
        ("slug", "${oc.decode:1}\\${x}", "slug"),
        ("seed", "${hydra:runtime.cwd}", "seed"),
        ("task__tickers", ["AAPL", "${seed}"], "task.tickers.1"),
        ("sweep__search", {"x": {"_target_": "os.system"}}, "sweep.search.x._target_"),
    ],
)
def test_what_would_be_called_or_looked_up_is_refused_by_its_key(
    configure: Configure, path: str, value: Any, named: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^{named} = .*refused"):
        restore(dumped(configure(), **{path: value}), STORE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"!!python/object/apply:os.system ['touch hacked']", "not plain YAML"),
        (b"a: &x [1]\nb: [*x, *x]", "aliases"),
        (b"- 1", "mapping"),
        (b"a: [", "not plain YAML"),
        (b"a: \x80", "not plain YAML"),
        (b"a: " + b"x" * plain.LARGEST, "bytes"),
        (b"1: 2", "may not name"),
        (b"a: " + b"[" * 40_000, "maximum nesting depth|nested more than 20"),  # libyaml's words, where it is there
        (b"a: " + b"[" * 30 + b"]" * 30, "nested more than 20 levels"),
        (b"\n".join(b" " * i + b"a:" for i in range(30)) + b" 1", "nested more than 20 levels"),
        (b"a: " + b"9" * 5_000, "not plain YAML"),
        (b"a: 2001-99-99", "not plain YAML"),
        (b"a: b\na: c\n--- 1", "not plain YAML"),
    ],
)
def test_what_is_no_plain_mapping_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("modle", {}, "modle: no such key; did you mean 'model'"),
        ("model__hidden_sizes", 3, "model.hidden_sizes: no such key"),
        ("model__hidden_size", "64", "model.hidden_size = '64'"),
        ("model__name", "lstn", "model.name = 'lstn': no such option"),
        ("model__name", "../task/forecasting_stocks", "model.name = '../task/forecasting_stocks': no such option"),
        ("seed", "???", "seed: a value is needed"),
        ("seed", date(2001, 1, 1), "seed: "),
        ("probe", 3, "probe = 3"),
        ("tracking", None, "tracking"),
        ("trainer", 3, "trainer = 3"),
        ("model__name", ["elman"], r"model.name = \['elman'\]: no such option"),
        ("loss__name", "cross_entropy", "does not fit"),
    ],
)
def test_unknown_keys_and_values_are_refused_by_name(configure: Configure, path: str, value: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        restore(dumped(configure(), **{path: value}), STORE)


def test_keys_added_since_are_filled_from_the_options_of_the_run_and_listed(configure: Configure) -> None:
    node = configure("model=lstm", "clip=norm").model_dump()
    del node["model"]["forget_bias"], node["clip"]["threshold"], node["probe"], node["tracking"]["points"]
    restored = restore(yaml.safe_dump(node).encode(), STORE)
    # Probes did not measure the start then, see `study.schema.defaults.BEFORE`.
    assert restored.config == restore(dumped(configure("model=lstm", "clip=norm", "probe.start=false")), STORE).config
    assert set(restored.filled) == {"model.forget_bias", "clip.threshold", "probe", "tracking.points"}
    assert restored.filled["model.forget_bias"] == 1.0


@pytest.mark.parametrize("model", [name for name in MODELS if "kernel" in MODELS.config(name).model_fields])
def test_a_run_of_before_there_were_kernels_is_made_again_by_torch_and_is_of_the_same_arm(
    configure: Configure, model: str
) -> None:
    today, node = configure(f"model={model}"), configure(f"model={model}").model_dump()
    assert node["model"].pop("kernel") == "auto"
    restored = restore(yaml.safe_dump(node).encode(), STORE)
    assert restored.filled == {"model.kernel": "torch"}
    assert not restored.varied
    older = deciding({key: text for key, text in flat_record(today).items() if key != "model.kernel"})
    assert older == deciding(restored.config) == deciding(today)


def test_a_run_of_before_there_was_a_group_had_what_its_default_does(configure: Configure) -> None:
    """Its numbers come out again: the rate is constant, all weights decay alike, nothing is added to the loss."""
    node = configure("optimizer=sgd").model_dump()
    del node["schedule"], node["regularizer"], node["optimizer"]["decay"], node["optimizer"]["nesterov"]
    restored = restore(yaml.safe_dump(node).encode(), STORE)
    assert restored.config == restore(dumped(configure("optimizer=sgd")), STORE).config
    assert not restored.varied
    assert restored.filled == {
        "schedule": {"name": "constant", "warmup": 0},
        "regularizer": {"name": "none"},
        "optimizer.decay": "all",
        "optimizer.nesterov": False,
    }


def test_keys_of_a_measure_that_is_off_by_default_are_filled_where_it_was_on(configure: Configure) -> None:
    node = configure("probe=full").model_dump()
    parts = node["probe"]["truncation"].pop("parts")
    restored = restore(yaml.safe_dump(node).encode(), STORE)
    assert restored.filled == {"probe.truncation.parts": parts}
    assert restored.config.probe == configure("probe=full").probe


def test_where_things_lie_is_taken_from_here_and_makes_no_other_run(configure: Configure) -> None:
    text = dumped(configure(), data__cache="/gone", tracking__uri="postgresql://me:secret@there/db")
    restored = restore(text, STORE)
    assert restored.config.data == configure().data
    assert restored.config.tracking.uri == STORE
    assert (restored.filled, restored.varied) == ({}, False)
    elsewhere = restore(text, STORE, ["data.cache=/mnt", "trainer.progress_bar=false"])
    assert elsewhere.config.data.cache == "/mnt"
    assert not elsewhere.varied
    assert restore(text, STORE, ["data.cache=/mnt", "seed=3"]).varied


def test_a_null_that_was_logged_is_not_filled(configure: Configure) -> None:
    config = configure("probe=none", "trainer.divergence=null")
    restored = restore(dumped(config), STORE)
    assert restored.config.probe == config.probe
    assert restored.config.trainer.divergence is None


def test_the_plan_of_the_sweep_a_run_came_from_does_not_matter(configure: Configure) -> None:
    restored = restore(dumped(configure(), sweep={"from": "another version"}), STORE)
    assert restored.config.sweep == configure().sweep


def test_overrides_change_their_key_and_nothing_else(configure: Configure) -> None:
    text = dumped(configure("model.hidden_size=5", "optimizer.lr=0.5", "seed=7"))
    changed = restore(text, STORE, ["optimizer.lr=0.25", "model=gru"])
    assert changed.config.optimizer.lr == 0.25
    assert changed.config.model == configure("model=gru").model
    assert changed.config.seed == 7
    assert changed.filled == {}


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("experiment=tour", "a run has no 'experiment'"),
        ("modle=lstm", "did you mean 'model'"),
        ("tracking.uri=sqlite:///x.db", "--store says where"),
        ("hydra.run.dir=/", "a run has no 'hydra'"),
        ("seed=${oc.env:HOME}", "seed"),
        ("optimizer.rl=1", "optimizer.rl: no such key"),
        ("model=lstn", "did you mean 'lstm'"),
        ("optimizer.lr=-1", "optimizer.lr = -1"),
        ("=", "."),
    ],
)
def test_overrides_that_cannot_be_are_refused_in_words(configure: Configure, override: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        restore(dumped(configure()), STORE, [override])


def test_a_refusal_needs_no_torch() -> None:
    program = (
        "import sys\nfrom study.errors import ConfigError\nfrom study.reproduce.restore import restore\n"
        "try: restore(b'model: {_target_: os.system}', 'x')\n"
        "except ConfigError as error: print(error, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CONF.parent, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("model._target_ = 'os.system': refused")
    assert done.stdout.endswith("False\n")
