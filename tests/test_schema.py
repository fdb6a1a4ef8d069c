"""Every option of every group is complete; what cannot be used is refused in words, key by key."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from study.errors import ConfigError
from study.installation import CONF
from study.schema import Config, keys, validate
from study.schema.defaults import option
from study.schema.probe import PROBES
from study.schema.task import TaskConfig
from tests.composed import composed

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "experiment")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
TASKS = [name for group, name in OPTIONS if group == "task"]
FITS = {
    **dict.fromkeys(["mse", "mae", "huber", "pinball", "gaussian_nll", "qlike"], ("regression",)),
    "binary_cross_entropy": ("binary",),
    "one_vs_rest": ("multiclass",),
    **dict.fromkeys(["cross_entropy", "focal", "brier", "crf"], ("binary", "multiclass")),
    "own": ("regression", "binary", "multiclass"),
}
CHOOSY: dict[str, Callable[[TaskConfig], bool]] = {
    "qlike": lambda task: task.name == "forecasting_stocks",
    "crf": lambda task: task.family == "labelling" and not task.asks_once,
}
"""What a loss asks for beside the kind of the targets."""
OWED = {"task.path": "some/file", "task.targets": ["price"]}
OWED |= dict.fromkeys([f"{group}.file" for group in ("model", "loss", "clip")], __file__)
"""What `???` in a file of conf/ stands for: values only the user knows."""


def complete(overrides: Sequence[str]) -> DictConfig:
    config = composed(*overrides)
    for key in OmegaConf.missing_keys(config):
        OmegaConf.update(config, key, OWED[key])
    return config


@cache
def of_task(task: str) -> dict[str, Any]:
    values = OmegaConf.to_container(complete([f"task={task}"]), resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def checked(*overrides: str) -> Config:
    return validate(complete(overrides))


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        checked(*overrides)
    return str(error.value)


@pytest.mark.parametrize(("group", "option"), [pair for pair in OPTIONS if pair[0] != "loss"])
def test_every_option_of_every_group_composes_and_is_accepted(
    group: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_DATABASE", "me@db/optuna")  # what sweep=shared and tracking=server ask for
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here:5000")
    config = getattr(checked(f"{group}={option}"), group)
    assert getattr(config, "name", option) == option


def owed(loss: dict[str, Any]) -> dict[str, Any]:
    """A loss with the file that it asks for, if it does."""
    return loss | {key: OWED[f"loss.{key}"] for key, value in loss.items() if value == "???"}


@pytest.mark.parametrize("loss", [name for group, name in OPTIONS if group == "loss"])
def test_every_loss_fits_some_task_and_is_refused_by_the_others_in_words(loss: str) -> None:
    fits = []
    for task in TASKS:
        values, config = of_task(task) | {"loss": owed(option("loss", loss))}, validate(of_task(task)).task
        if config.kind in FITS[loss] and CHOOSY.get(loss, bool)(config):
            fits.append(validate(values).loss.name)
        else:
            with pytest.raises(ConfigError, match=f"loss={loss} does not fit task={task}: it needs"):
                validate(values)
    assert set(fits) == {loss}


@pytest.mark.parametrize(
    ("overrides", "horizon"),
    [
        ("task=language_copying task.delay=100 task.longest=7", 107),
        ("task=labelling_temporal_order task.seq_len=100", 80),
        ("task=forecasting_adding task.seq_len=400", 200),
        ("task=forecasting_adding task.seq_len=400 task.horizon=9", 9),
    ],
)
def test_the_horizon_of_a_task_that_has_a_known_one_follows_its_lengths(overrides: str, horizon: int) -> None:
    assert checked(*overrides.split()).task.horizon == horizon


@pytest.mark.parametrize("task", TASKS)
def test_every_task_brings_a_loss_that_fits(task: str) -> None:
    config = checked(f"task={task}")
    assert config.task.kind in config.loss.fits


def test_the_values_of_conf_arrive_unchanged() -> None:
    config = complete([])
    found = checked()
    assert found.model_dump(exclude_unset=True) == OmegaConf.to_container(config, resolve=True)
    absent = set(found.probe.model_dump()) - set(found.probe.model_dump(exclude_unset=True))
    assert not any(getattr(found.probe, name) for name in absent)  # a probe that conf/ does not name is off


REFUSED = {
    "+seeed=7": "seeed: no such key; did you mean 'seed'?",
    "+task.seqlen=3": "task.seqlen: no such key; did you mean 'seq_len'?",
    "+clip.threshold=3": "clip.threshold: no such key (allowed here: name)",
    "+probe.flow.lag=3": "probe.flow.lag: no such key; did you mean 'max_lag'?",
    "model.hidden_size=abc": "model.hidden_size = 'abc': should be a valid integer",
    "model.hidden_size=0": "model.hidden_size = 0: should be greater than or equal to 1",
    "model.hidden_size=2.5": "model.hidden_size = 2.5: should be a valid integer",
    "model.hidden_size=true": "model.hidden_size = True: should be a valid integer",
    "model.hidden_size=null": "model: no size: exactly one of hidden_size, match_parameters, match_state decides it",
    "model.match_state=9": "model: hidden_size = 64 and match_state = 9: exactly one of",
    "model.residual=true": "model: residual = True adds what enters a layer",
    "model.dropout=1": "model.dropout = 1: should be less than 1",
    "model.activation=sigmoid": "model.activation = 'sigmoid': should be 'tanh' or 'relu'",
    "model.gain=nan": "model.gain = nan: should be",
    "optimizer.lr=0": "optimizer.lr = 0: should be greater than 0",
    "optimizer.lr=inf": "optimizer.lr = inf: should be a finite number",
    "bptt.k2=0": "bptt.k2 = 0: should be greater than or equal to 1",
    "bptt.k2=5 bptt.k1=9": "bptt: k1=9 must not exceed k2=5",
    "optimizer=sgd optimizer.nesterov=true": "optimizer: nesterov = True: it looks ahead along the momentum",
    "bptt.update=batch": "bptt.update = 'batch': should be 'window' or 'sequence'",
    "clip=norm clip.threshold=-1": "clip.threshold = -1: should be greater than 0",
    "clip=autoclip clip.percentile=100": "clip.percentile = 100: should be less than 100",
    "clip=percentile clip.warmup=0": "clip.warmup = 0: should be greater than or equal to 1",
    "clip=percentile clip.percentile=0": "clip.percentile = 0: should be greater than 0",
    "clip=zclip clip.alpha=1": "clip.alpha = 1: should be less than 1",
    "clip=adagc clip.relative=1": "clip.relative = 1: should be greater than 1",
    "clip=per_step bptt.k2=1": "clip=per_step with bptt.k2 = 1: it clips what flows back from step to step",
    "seed=1.5": "seed = 1.5: should be a valid integer",
    "slug=a/b": "slug = 'a/b': names a folder",
    "slug=": "slug = '': names a folder",
    "task.tickers=[AAPL,TSLA]": "task.tickers.1 = 'TSLA': should be 'AAPL', 'FB', 'GOOG', 'IBM' or 'MSFT'",
    "task=labelling_parity task.horizon=null": "task.horizon = None: should be a valid integer",
    "task=forecasting_adding task.seq_len=long": "task.seq_len = 'long': should be a valid integer",
    "task.validation=0.6 task.test=0.5": "validation and test leave nothing to train on",
    "trainer.max_epochs=2": "trainer: the budget is either max_updates, max_steps, max_epochs or max_seconds",
    "trainer.max_updates=null": "trainer: the budget is either max_updates, max_steps, max_epochs or max_seconds",
    "trainer.accelerator=tpu": "trainer.accelerator = 'tpu': should be 'cpu' or 'cuda'",
    "tracking.points=501": "tracking.points = 501: should be less than or equal to 500",
    "loss=mse task=language_bible_char": "loss=mse does not fit task=language_bible_char",
    "probe.lyapunov.autonomous=50": "autonomous = 50: a network runs on its own predictions where they are its next "
    "inputs, and those of task=forecasting_stocks are not; allowed: null, or task=forecasting_lorenz",
    "task=labelling_porttinari_pos loss=pinball": "it needs regression targets, this task's are multiclass",
    "task.target=log_return loss=qlike": "it needs logarithms of volatilities as targets",
    "task=language_copying loss=crf": "this task's next tokens are predicted one after the other",
    "task=labelling_temporal_order loss=crf": "this task asks at the last step alone",
    "task=labelling_parity loss=crf bptt.k2=5 bptt.k1=5": "loss.name = 'crf': bptt.k1 and bptt.k2 must be null",
    "task=labelling_parity loss=crf bptt=artbp": "bptt = artbp: it cuts every sequence, which loss.name = 'crf' does",
    "task=labelling_parity loss=crf probe=full": "probe.truncation and probe.alignment must be null; it is of a whole",
    "loss=pinball loss.levels=[0.5,0.1]": "loss.levels = [0.5, 0.1]: levels must ascend",
    "loss=pinball loss.levels=[0.5,0.5]": "loss.levels = [0.5, 0.5]: levels must ascend",
    "loss=pinball loss.levels=[0.1,1]": "loss.levels.1 = 1: should be less than 1",
    "loss=pinball loss.levels=[]": "loss.levels = []: List should have at least 1 item",
    "loss=huber loss.delta=0": "loss.delta = 0: should be greater than 0",
    "task=labelling_parity loss=focal loss.gamma=-1": "loss.gamma = -1: should be greater than or equal to 0",
    "task=labelling_parity loss=cross_entropy loss.smoothing=1": "loss.smoothing = 1: should be less than 1",
    "loss.scale=initial clip=per_step": "loss.scale = 'initial' with clip=per_step: gradients are divided when they",
    "loss.scale=first": "loss.scale = 'first': should be 'none' or 'initial'",
    "seed=???": "seed",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_key_its_value_and_what_is_allowed(typed: str) -> None:
    overrides = typed.split()
    if typed == "seed=???":
        config = complete([])
        config.seed = "???"
        with pytest.raises(ConfigError, match="seed: a value is needed"):
            validate(config)
    else:
        message = refusal(*overrides)
        assert REFUSED[typed] in message
        assert len(message.splitlines()) == 1


def test_all_offending_keys_are_named_at_once() -> None:
    message = refusal("model.hidden_size=0", "optimizer.lr=-1", "+trainer.max_update=3")
    assert [line.split()[0].rstrip(":") for line in message.splitlines()] == [
        "model.hidden_size",
        "optimizer.lr",
        "trainer.max_update",
    ]


def test_any_key_left_out_of_a_configuration_is_asked_for_but_a_probe_which_is_then_not_taken() -> None:
    whole = OmegaConf.to_container(complete([]), resolve=True)
    assert isinstance(whole, dict)
    for group, values in whole.items():
        for key in values if isinstance(values, dict) else ():
            if group == "probe" and key in PROBES:
                continue
            part: dict[Any, Any] = {**whole, group: {k: v for k, v in values.items() if k != key}}
            with pytest.raises(ConfigError, match=str(group)):
                validate(part)


def test_every_key_of_a_configuration_is_known_to_the_schema() -> None:
    def dotted(node: Any, prefix: str = "") -> set[str]:
        if not isinstance(node, dict) or prefix in {"sweep.arms.", "sweep.search."}:
            return {prefix.rstrip(".")}
        return {key for name, value in node.items() for key in dotted(value, f"{prefix}{name}.")} | {prefix.rstrip(".")}

    assert dotted(checked().model_dump()) - {""} <= set(keys())


def test_a_checked_configuration_cannot_be_changed() -> None:
    config, change = checked(), setattr
    with pytest.raises(ValueError, match="frozen"):
        change(config, "seed", 1)


@pytest.mark.parametrize("module", ["study.schema", "study.command", "study.train"])
def test_a_typo_is_answered_without_loading_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit(any(m in sys.modules for m in ('torch', 'mlflow', 'pytorch_lightning')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=CONF.parent, check=False).returncode == 0


@pytest.mark.parametrize(
    "overrides",
    [
        ["task=forecasting_adding", "seed=3", "task.seq_len=5", "model=lstm", "model.num_layers=2"],
        ["model=own", "model.file=a.py", "++model.options.rate=0.3"],
        ["experiment=tour", "sweep.arms=[{clip: [none]}]", "optimizer.lr=.1", "optimizer.lr=.2"],
    ],
)
def test_tests_compose_as_hydra_does(overrides: list[str]) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        of_hydra = compose("train", overrides)
    assert composed(*overrides) == of_hydra
