"""Lightning adds a budget, validation and checkpoints around the plain updates, and changes none of their bits."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pytorch_lightning as pl
import torch

from study.columns import LOSS
from study.learning.bptt import Carry, build, expected_updates, records
from study.learning.evaluation import Evaluation
from study.schema import Config
from study.schema.model import MODELS
from study.seeding import seeded
from study.tasks import Task
from study.tracking import writer
from study.train import assemble
from study.training import callbacks, checkpoint
from study.training.history import Envelope, History
from study.training.module import RecurrentModule
from study.training.pace import CHUNK, plan_pace
from study.training.recorder import Recorder
from study.training.trainer import fit

Configure = Callable[..., Config]
SMALL = ["model.hidden_size=4", "probe=none", "task.batch_size=4"]
ADDING = ["task=forecasting_adding", "task.seq_len=10", "task.sequences=80", "task.held_out=20", *SMALL]  # 20 batches
LONG = ["task=forecasting_adding", "task.seq_len=5", "task.sequences=800", "task.held_out=20", *SMALL]  # 200 batches
TEXT = "".join(f"{i} green bottles hanging on the wall\n" for i in range(200, 0, -1))


@pytest.fixture(params=["windows", "stream"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Sequences that start from nothing, or a text through which the state is carried."""
    if request.param == "windows":
        return ADDING
    (tmp_path / "text.txt").write_text(TEXT)
    return ["task=language_text", f"task.path={tmp_path / 'text.txt'}", "task.seq_len=20", *SMALL]


class Notebook(writer.Run):
    """An MLflow run that nobody stores."""

    run_id = "notebook"

    def __init__(self) -> None:
        self.points: list[tuple[int, Mapping[str, float]]] = []
        self.tables: dict[str, pa.Table] = {}
        self.files: dict[str, bytes] = {}

    def log_points(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        self.points += points

    def log_table(self, table: pa.Table, name: str) -> None:
        self.tables[name] = table

    def log_files(self, files: Mapping[str, bytes], folder: str | None = None) -> None:
        self.files.update(files)

    def tag(self, tags: Mapping[str, object]) -> None:
        self.tags = dict(tags)

    def steps(self, key: str) -> list[int]:
        return [step for step, values in self.points if key in values]


def trained(
    config: Config, folder: Path | None = None, callbacks: Sequence[pl.Callback] = ()
) -> tuple[RecurrentModule, Task, Notebook]:
    (task, module), notebook = assemble(config), Notebook()
    recorder = Recorder(notebook, Envelope(module.history, module.pace.updates, config.tracking.points))
    saving = checkpoint.saving(config.trainer, folder, notebook.run_id)
    fit(module, config.trainer, config.seed, [recorder, *callbacks, *saving])
    return module, task, notebook


def plain(config: Config, updates: int) -> np.ndarray:
    """The history of the same training without Lightning."""
    task, module = assemble(config)
    history = History([name for name, _ in module.model.named_parameters()], beside=records(config.bptt))
    optimizer, plan, batches = module.configure_optimizers(), config.bptt, task.batches("train")
    bptt = build(plan, module.model, module.loss, optimizer, module.clip, batches.stream, config.seed)
    with seeded(config.seed, "dropout"):
        for epoch in range(updates):
            carry: Carry | None = None
            for batch in batches.epoch(epoch):
                for update in bptt.updates(batch, carry):
                    history.append(update, optimizer.param_groups[0]["lr"])
                    if len(history) == updates:
                        history.flush()
                        return history.rows()
                carry = bptt.carry if batches.stateful else None
    raise AssertionError("too few batches")


@pytest.mark.parametrize(
    "how",
    [
        "bptt.k2=null",
        "bptt.k2=4",
        "bptt.k2=4 bptt.k1=3",
        "bptt.k2=4 bptt.update=sequence",
        "clip=norm model.dropout=0.3",
        "bptt=artbp bptt.length=6 bptt.block=2",
        "bptt=adaptive bptt.k1=2 bptt.k2_min=3 bptt.k2_max=8 bptt.every=9",
    ],
)
def test_training_under_lightning_is_plain_training_bit_for_bit(
    configure: Configure, data: list[str], how: str
) -> None:
    config = configure(*data, *how.split(), "trainer.max_updates=47", "trainer.validate_every=11")
    module, _, notebook = trained(config)
    np.testing.assert_array_equal(module.history.rows(), plain(config, 47))
    assert notebook.tables["gradients.parquet"].num_rows == 47
    assert module.history.diverged is None


def test_validation_disturbs_neither_the_carry_nor_the_random_state(configure: Configure, data: list[str]) -> None:
    often, never = (
        configure(*data, "model.dropout=0.3", "bptt.k2=5", "trainer.max_updates=60", f"trainer.validate_every={every}")
        for every in (3, 1000)
    )
    (one, _, notes), (other, _, none) = trained(often), trained(never)
    assert len(notes.steps("loss/val")) > 3
    assert not none.steps("loss/val")
    np.testing.assert_array_equal(one.history.rows(), other.history.rows())


def test_the_seconds_of_validations_are_counted_among_those_of_training(configure: Configure) -> None:
    """Also over an interruption; a run that is never validated has spent none."""
    often, never = (
        configure(*ADDING, "trainer.max_updates=12", f"trainer.validate_every={every}") for every in (4, 1000)
    )
    (one, _, _), (other, _, _) = trained(often), trained(never)
    assert 0.0 < one.validating < one.seconds
    assert other.validating == 0.0
    _, resumed = assemble(often)
    resumed.load_state(one.state())
    assert resumed.validating == one.validating


def test_validation_carries_the_state_along_a_text_and_not_from_sequence_to_sequence(
    configure: Configure, data: list[str]
) -> None:
    config = configure(*data, "trainer.max_updates=60", "trainer.validate_every=null")
    module, task, notebook = trained(config)
    *_, (step, validated) = ((step, values["loss/val"]) for step, values in notebook.points if "loss/val" in values)
    assert step == len(module.history)
    losses = {}
    for carried in (True, False):
        evaluation = Evaluation(module.model.eval(), module.loss, task.metrics(), carried)
        evaluation.add(task.batches("val").epoch(0))
        losses[carried] = evaluation.result()["loss"]
    stream = config.task.family == "language"
    assert validated == pytest.approx(losses[stream], rel=1e-6)
    assert validated != pytest.approx(losses[not stream], rel=1e-6)


def test_a_learnt_initial_state_trains_in_windows_and_its_norm_is_zero_where_none_reaches_it(
    configure: Configure, data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS._addresses, "elman", "tests.members:LearntStart")
    config = configure(*data, "task.seq_len=20", "bptt.k2=10", "model=elman", "probe=end", "trainer.max_updates=44")
    module, _, notebook = trained(config)
    np.testing.assert_array_equal(module.history.rows(), plain(config, 44))
    norms = notebook.tables["gradients.parquet"]["grad_norm/core.start"].to_numpy()
    stream = config.task.family == "language"  # it starts once an epoch; the sequences are asked in their last window
    assert list(np.flatnonzero(norms)) == ([0] if stream else [])
    assert bool(module.model.get_parameter("core.start").any()) == stream


@pytest.mark.parametrize("clip", ["clip=autoclip", "clip=per_step"])
def test_probes_after_every_update_leave_the_state_of_a_clip_policy_as_it_would_be_without(
    configure: Configure, clip: str
) -> None:
    common = [*ADDING, clip, "trainer.max_updates=6"]
    with_probes, without = (trained(configure(*common, *probes))[0] for probes in (["probe=full", "probe.every=1"], []))
    assert len(with_probes.probes.taken) == 7
    np.testing.assert_array_equal(with_probes.history.rows(), without.history.rows())
    torch.testing.assert_close(with_probes.clip.state_dict(), without.clip.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize(
    ("how", "an_epoch"), [("bptt.k2=4", 20 * 1), ("bptt.update=sequence", 20), ("bptt.k1=2 bptt.k2=4", 20)]
)
def test_a_budget_in_epochs_makes_every_update_of_every_epoch(
    configure: Configure, epochs: int, how: str, an_epoch: int
) -> None:
    config = configure(*ADDING, *how.split(), "trainer.max_updates=null", f"trainer.max_epochs={epochs}")
    module, task, _ = trained(config)
    counted = sum(expected_updates(config.bptt, batch, None) for batch in task.batches("train").epoch(0))
    assert len(module.history) == epochs * counted == epochs * an_epoch


@pytest.mark.parametrize("updates", [1, 31, 32, 33, 64, 100])
def test_a_budget_in_updates_is_kept_exactly(configure: Configure, updates: int) -> None:
    module, _, notebook = trained(configure(*LONG, f"trainer.max_updates={updates}"))
    assert len(module.history) == module.trainer.global_step == updates
    assert notebook.steps("grad_norm/total")[-1] == updates


@pytest.mark.parametrize("every", [3, 10, 32, 50, 100])
def test_validation_comes_about_as_often_as_asked(configure: Configure, every: int) -> None:
    _, _, notebook = trained(configure(*LONG, "trainer.max_updates=200", f"trainer.validate_every={every}"))
    gaps = np.diff([0, *notebook.steps("loss/val")])
    assert abs(gaps[:-1] - every).max(initial=0) <= 1 + every // CHUNK


def test_validation_after_every_epoch_is_the_default_without_a_rhythm(configure: Configure) -> None:
    _, _, notebook = trained(configure(*ADDING, "trainer.max_updates=60", "trainer.validate_every=null"))
    assert notebook.steps("loss/val") == [20, 40, 60]
    assert notebook.steps("rmse/val") == [20, 40, 60]


def test_a_pace_never_asks_for_more_than_a_chunk_of_batches_at_once(configure: Configure) -> None:
    bptt, batches = configure(*LONG).bptt, assemble(configure(*LONG))[0].batches("train")
    for every in (1, 7, 31, 32, 33, 65, 250, 100_000):
        pace = plan_pace(configure(*LONG, f"trainer.validate_every={every}").trainer, bptt, batches)
        assert 1 <= pace.chunk <= CHUNK
        assert abs(pace.chunk * pace.interval - every) < pace.interval


def test_many_updates_a_batch_leave_few_batches_a_step_so_that_it_stays_short(configure: Configure) -> None:
    config = configure(*LONG, "task.seq_len=40", "bptt.k1=4", "bptt.k2=8", "task.batch_size=80")  # only the end counts
    each = configure("task=forecasting_sine_mix", *SMALL, "bptt.k1=1", "bptt.k2=8", "trainer.validate_every=null")
    assert assemble(config)[1].pace.chunk > 1
    assert assemble(each)[1].pace.chunk == 1


def test_the_last_checkpoint_is_the_trained_model(configure: Configure, tmp_path: Path) -> None:
    module, _, notebook = trained(configure(*ADDING, "trainer.max_updates=20"), tmp_path)
    kept = checkpoint.load(checkpoint.path(tmp_path, notebook.run_id))
    assert kept["steps"][-1] == len(module.history)
    for name, parameter in module.model.state_dict().items():
        assert torch.equal(kept["model"][name], parameter)


def test_no_checkpoint_is_kept_where_none_is_wanted(configure: Configure, tmp_path: Path) -> None:
    trained(configure(*ADDING, "trainer.max_updates=20", "trainer.checkpoint=null"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_diverged_run_ends_early_and_knows_its_update(configure: Configure) -> None:
    config = configure(*LONG, "optimizer=sgd", "optimizer.lr=1e4", "model.activation=relu", "trainer.max_updates=200")
    module, _, notebook = trained(config)
    assert module.history.diverged is not None
    assert module.history.diverged == len(module.history) == notebook.tables["gradients.parquet"].num_rows < 200
    rows = module.history.rows()
    limit = (config.trainer.divergence or 0) * max(1.0, rows[0, LOSS])
    assert (rows[:-1, LOSS] <= limit).all()
    assert not rows[-1, LOSS] <= limit
    assert notebook.steps("grad_norm/total")[-1] == module.history.diverged


def test_no_measure_of_a_diverged_run_is_of_an_update_it_does_not_have(configure: Configure) -> None:
    wild = ["optimizer=sgd", "optimizer.lr=1e4", "model.activation=relu", "trainer.max_updates=200"]
    module, _, notebook = trained(configure(*LONG, *wild, "probe=history", "probe.per_decade=3"))
    measured = [taken.update for taken in module.probes.taken]
    assert module.history.diverged is not None
    assert measured[0] == 0
    assert measured == sorted(measured)
    assert measured[-1] < module.history.diverged
    assert notebook.tables["flow.parquet"]["update"].to_pylist()[-1] == measured[-1]


def test_early_stopping_waits_for_its_patience(configure: Configure) -> None:
    still = ["optimizer.lr=1e-30", "trainer.validate_every=10", "trainer.patience=2"]
    module, _, notebook = trained(configure(*LONG, *still, "trainer.max_updates=200"))
    assert len(notebook.steps("loss/val")) == 3
    assert len(module.history) < 60


class Interrupts(pl.Callback):
    """Acts after the third Lightning step."""

    def __init__(self, act: Callable[[], Any]):
        self._act = act

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step >= 90:
            self._act()


def fail() -> None:
    raise ArithmeticError("it broke")


@pytest.mark.parametrize(
    ("act", "error"),
    [(lambda: os.kill(os.getpid(), signal.SIGINT), KeyboardInterrupt), (fail, ArithmeticError)],
    ids=["Ctrl-C", "an error"],
)
def test_an_interrupted_run_keeps_its_history_and_raises_what_interrupted_it(
    configure: Configure, act: Callable[[], Any], error: type[BaseException]
) -> None:
    config, notebook = configure(*LONG, "trainer.max_updates=200"), Notebook()
    _, module = assemble(config)
    recorder = Recorder(notebook, Envelope(module.history, module.pace.updates, config.tracking.points))
    with pytest.raises(error):
        fit(module, config.trainer, config.seed, [recorder, Interrupts(act)])
    rows = notebook.tables["gradients.parquet"].num_rows
    assert 90 <= rows == len(module.history) < 200
    charted = notebook.steps("grad_norm/total")
    assert rows - charted[-1] < charted[-1] - charted[-2]  # whole buckets only: the run may be resumed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_callback_of_the_user_is_found_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed command has its own folder in Python's path, not the one it is called in."""
    text = "from pytorch_lightning import Callback\nclass Watch(Callback):\n    def __init__(self, every):\n"
    (tmp_path / "watching.py").write_text(f"{text}        self.every = every\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    (found,) = callbacks.build([{"class": "watching.Watch", "every": 5}])
    assert vars(found)["every"] == 5
