"""A run killed at any moment resumes from its last checkpoint to the same bits as one that was never interrupted."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from study import tasks
from study.installation import CHECKOUT, CONF
from study.learning.bptt import TruncatedBPTT
from study.reproduce.compare import compare
from study.reproduce.differences import differences
from study.reproduce.restore import CONFIG, restore
from study.resume import main
from study.schema import Config
from study.tracking import provenance, sweeps, writer
from study.tracking.description import describe
from study.tracking.outbox import Outbox
from study.tracking.outcomes import FINISHED
from study.tracking.place import Place
from study.tracking.reader import Logged, find, search
from study.train import train
from study.training import checkpoint
from tests.typed import started

Configure = Callable[..., Config]
BRIEF = (
    "model.hidden_size=4",
    "probe=none",
    "trainer.max_updates=40",
    "trainer.validate_every=6",
    "trainer.checkpoint=0",
    "tracking.points=12",
)
COMMON = ("task.tickers=[IBM]", "task.batch_size=160", *BRIEF)
"""A brief run on the prices of one ticker, of 15 batches an epoch."""
STREAM = ("task=language_text", f"task.path={CHECKOUT}/pyproject.toml", "task.batch_size=8", "task.seq_len=10")
FLOSSING = ("regularizer=flossing", "regularizer.exponents=2", "regularizer.every=3", "regularizer.until=20")
SETTINGS: tuple[tuple[str, ...], ...] = (
    ("model=lstm", "model.num_layers=2", "model.dropout=0.4", "optimizer=sgd", "optimizer.momentum=0.9"),
    (
        "model=gru",
        "bptt.k2=20",
        "bptt.k1=10",
        "clip=norm",
        "clip.threshold=0.1",
        "loss.scale=initial",
        "optimizer=muon",
    ),
    ("trainer.patience=2", "optimizer=sgd", "optimizer.lr=1e-9", *FLOSSING),
    ("model=elman", "optimizer=sgd", "optimizer.lr=1e8"),
    ("trainer.max_updates=null", "trainer.max_epochs=2", "trainer.validate_every=4", "probe.every=7", "optimizer=asgd"),
    (*STREAM, "model.dropout=0.2", "schedule=plateau", "schedule.patience=0"),
    ("bptt=artbp", "bptt.length=12", "bptt.block=3", "schedule=cosine", "schedule.warmup=9", *STREAM),
    (
        "optimizer=muon",
        "bptt=adaptive",
        "bptt.k1=2",
        "bptt.k2_min=2",
        "bptt.k2_max=25",
        "bptt.every=7",
        "model=gru",
        *STREAM,
    ),
)


def overrides(setting: tuple[str, ...]) -> tuple[str, ...]:
    """All that is typed for a setting, of prices if it chooses no other task."""
    return (*(BRIEF if STREAM[0] in setting else COMMON), *setting)


class Killed(BaseException):
    """Stands for SIGKILL."""


class Life:
    """Counts the moments of a run, its updates and what it writes to MLflow; at the `last` one it dies.

    From then on nothing that the run still tries is done, as if its process were gone.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int | None = None):
        self.moments, self.last, self.dead = 0, last, False
        for kind, names in ((TruncatedBPTT, ("_step",)), (Outbox, ("put",))):
            for name in names:
                monkeypatch.setattr(kind, name, self._counted(getattr(kind, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            if self.dead:
                return None
            if self.moments == self.last:
                self.dead = True
                raise Killed
            self.moments += 1
            return call(*arguments, **named)

        return counted


References = dict[tuple[str, ...], tuple[Logged, int]]


@pytest.fixture(scope="module")
def references() -> References:
    """Runs that were never interrupted, and how many moments they have."""
    return {}


def whole(config: Config, setting: tuple[str, ...], references: References) -> tuple[Logged, int]:
    if setting not in references:
        with pytest.MonkeyPatch.context() as patch:
            life = Life(patch)
            result = train(config)
        references[setting] = find(config.tracking.uri, result.run_id)[0], life.moments
    return references[setting]


def killed(config: Config, moment: int, folder: Path, resume: str | None = None) -> str:
    """Train, or resume, until a moment; the id of the run that is left."""
    with pytest.MonkeyPatch.context() as patch:
        Life(patch, moment)
        with pytest.raises(Killed):
            train(config, place=Place(tags={"victim": str(folder)}, checkpoints=folder, resume=resume))
    return search(config.tracking.uri, f"tags.victim = '{folder}'")[0].run_id


@pytest.mark.parametrize("seed", range(16))
def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(
    configure: Configure, references: References, tmp_path: Path, seed: int
) -> None:
    setting = SETTINGS[seed % len(SETTINGS)]
    config = configure(*overrides(setting))
    reference, moments = whole(config, setting, references)
    draw = random.Random(seed)
    run_id = killed(config, draw.randrange(1, moments), tmp_path)
    if seed % 3 == 0:
        killed(config, draw.randrange(1, 5), tmp_path, resume=run_id)
    assert find(reference.uri, run_id)[0].status == "RUNNING"
    train(config, place=Place(checkpoints=tmp_path, resume=run_id))
    resumed = find(reference.uri, run_id)[0]
    assert resumed.status == "FINISHED"
    assert str(compare(reference, resumed)).startswith("identical")
    assert str(compare(resumed, reference)).startswith("identical")


def test_a_clip_policy_with_a_state_clips_on_as_if_it_had_not_been_interrupted(
    configure: Configure, tmp_path: Path
) -> None:
    config = configure(*COMMON, "clip=autoclip", "optimizer=sgd", "optimizer.lr=1e-3")
    whole = find(config.tracking.uri, train(config).run_id)[0]
    for forgotten in (False, True):  # the state is what makes them the same
        folder = tmp_path / str(forgotten)
        run_id = killed(config, 35, folder)
        kept = checkpoint.load(checkpoint.path(folder, run_id))
        assert len(kept["clip"]["seen"]) == len(kept["history"]["rows"]) > 5
        if forgotten:
            torch.save(kept | {"clip": {"seen": kept["clip"]["seen"][:0]}}, checkpoint.path(folder, run_id))
        train(config, place=Place(checkpoints=folder, resume=run_id))
        resumed = find(config.tracking.uri, run_id)[0]
        assert str(compare(whole, resumed)).startswith("identical") != forgotten


def test_a_checkpoint_of_before_clips_and_truncations_had_a_state_can_be_resumed(
    configure: Configure, tmp_path: Path
) -> None:
    config = configure(*COMMON, "clip=norm", "clip.threshold=0.1")
    whole = find(config.tracking.uri, train(config).run_id)[0]
    run_id = killed(config, 35, tmp_path)
    file = checkpoint.path(tmp_path, run_id)
    torch.save({key: value for key, value in checkpoint.load(file).items() if key not in ("clip", "bptt")}, file)
    train(config, place=Place(checkpoints=tmp_path, resume=run_id))
    assert str(compare(whole, find(config.tracking.uri, run_id)[0])).startswith("identical")


def test_a_resumed_run_makes_only_the_updates_that_are_missing(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(*COMMON)
    run_id = killed(config, 35, tmp_path)
    kept = len(checkpoint.load(checkpoint.path(tmp_path, run_id))["history"]["rows"])
    made = 0
    step = TruncatedBPTT._step

    def counted(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        return step(*arguments)

    monkeypatch.setattr(TruncatedBPTT, "_step", counted)
    train(config, place=Place(checkpoints=tmp_path, resume=run_id))
    assert 0 < kept < 40
    assert made == 40 - kept
    assert find(config.tracking.uri, run_id)[0].tags["resumed_after"] == str(kept)


class Breaks(pl.Callback):
    """Fails, a while after the first state was kept."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        time.sleep(1.0)
        if trainer.global_step > 10:
            raise ArithmeticError("it broke")


def test_a_failed_run_that_is_resumed_ends_as_if_it_had_not_failed_and_counts_the_time_before(
    configure: Configure, tmp_path: Path
) -> None:
    config = configure(*COMMON, "slug=mended")
    with pytest.raises(ArithmeticError):
        train(config, place=Place(checkpoints=tmp_path), callbacks=[Breaks()])
    (failed,) = search(config.tracking.uri, slug="mended")
    assert failed.tags["error"] == "ArithmeticError: it broke"
    train(config, place=Place(checkpoints=tmp_path, resume=failed.run_id))
    (run,) = search(config.tracking.uri, slug="mended")
    assert (run.status, run.tags["outcome"] in FINISHED, "error" in run.tags) == ("FINISHED", True, False)
    assert run.measures["run/seconds"] > 1.0


def test_what_differed_when_a_run_was_resumed_is_recorded_and_shown(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(*COMMON)
    run_id = killed(config, 35, tmp_path)
    environment = provenance.environment()
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "environment", lambda: environment | {"threads": 2})
        train(config, place=Place(checkpoints=tmp_path, resume=run_id))
    run = find(config.tracking.uri, run_id)[0]
    found = differences(run, restore(run.read(CONFIG), run.uri), tasks.build(config.task, config.data, config.seed))
    differing = [difference for difference in found if difference.differs]
    assert differing == [(f"threads, resumed after {run.tags['resumed_after']}", "2", "1")]


def test_a_run_that_is_being_trained_is_left_alone(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(*COMMON)

    class Impatient(pl.Callback):
        """Somebody who tries to resume the run that is being trained."""

        def on_train_batch_end(self, *_: object) -> None:
            running = search(config.tracking.uri, f"tags.victim = '{tmp_path}'")[0]
            self.codes = [main([running.run_id, "--store", running.uri, "--checkpoints", str(tmp_path)])]

    impatient = Impatient()
    train(config, place=Place(tags={"victim": str(tmp_path)}, checkpoints=tmp_path), callbacks=[impatient])
    assert impatient.codes == [2]
    assert "still training it" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_starts_anew_in_its_place(configure: Configure, tmp_path: Path) -> None:
    config = configure(*COMMON, "trainer.checkpoint=null")
    run_id = killed(config, 35, tmp_path)
    assert not list(tmp_path.glob("*.ckpt"))
    train(config, place=Place(checkpoints=tmp_path, resume=run_id))
    resumed = find(config.tracking.uri, run_id)[0]
    assert resumed.status == "FINISHED"
    assert len(resumed.table("gradients.parquet")) == 40


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_run_killed_before_it_was_described_is_described_as_whole_as_any(
    configure: Configure, references: References, tmp_path: Path, moment: int
) -> None:
    config = configure(*COMMON)
    reference, _ = whole(config, (), references)
    run_id = killed(config, moment, tmp_path)
    train(config, place=Place(checkpoints=tmp_path, resume=run_id))
    resumed, client = find(reference.uri, run_id)[0], writer.MlflowClient(reference.uri)
    assert set(resumed.files()) == set(reference.files())
    assert (resumed.params, resumed.tags.keys() - {"victim"}) == (reference.params, reference.tags.keys())
    inputs = [client.get_run(run.run_id).inputs.dataset_inputs for run in (resumed, reference)]
    assert [one.dataset.digest for one in inputs[0]] == [one.dataset.digest for one in inputs[1]]


def test_a_run_that_cannot_be_resumed_says_what_to_type_instead(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(*COMMON, "slug=instead")
    parent = sweeps.open_parent(config.tracking.uri, config.slug, "plan")
    for name in ("instead one", "instead two"):
        with writer.run(describe(config), Place(name, parent)) as run:
            pass
    for wanted, said in {
        "instead": "the command of the sweep, typed again, makes all that are not made",
        "instead one": "reproduce",
    }.items():
        assert main([wanted, "--store", config.tracking.uri]) == 2
        assert said in capsys.readouterr().err
    writer.MlflowClient(config.tracking.uri).set_terminated(run.run_id, "KILLED")
    assert main(["instead two", "--store", config.tracking.uri]) == 2
    assert "the command that started it, typed again, makes it" in capsys.readouterr().err


def test_the_command_line_resumes_a_process_that_was_killed(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = ["slug=sigkill", f"tracking.uri={store}", "trainer.checkpoint=0", "trainer.max_updates=200"]
    wanted += ["model.hidden_size=4", "trainer.validate_every=10", "trainer.progress_bar=false"]
    with started("study.train", wanted, tmp_path, {"PYTHONPATH": str(CONF.parent)}) as command:
        while not list(tmp_path.glob("outputs/checkpoints/*.ckpt")):
            assert command.poll() is None
            time.sleep(0.01)
        command.send_signal(signal.SIGKILL)
        command.wait()
    run = search(store, slug="sigkill")[0]
    assert run.status == "RUNNING"
    assert main([run.run_id, "--store", store]) == 0
    assert "200 updates in" in capsys.readouterr().out
    assert main([run.run_id, "--store", store]) == 2
    assert "has finished" in capsys.readouterr().err
