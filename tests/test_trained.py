"""A trained network comes back: its weights, its predictions, on new data, and where this package is not."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from study import api
from study.errors import ConfigError
from study.installation import CONF
from study.reproduce.restore import CONFIG, restore_run
from study.schema import Config, validate
from study.tasks.preprocessing import Preprocessing
from study.tracking import models
from study.tracking.reader import Logged, find_one
from study.train import assemble, train
from study.trained.model import load_trained
from tests import samples
from tests.composed import composed

Configure = Callable[..., Config]
TINY = (
    "model.hidden_size=6",
    "probe=none",
    "trainer.max_updates=30",
    "trainer.progress_bar=false",
    "task.batch_size=8",
)
FAMILIES = {
    "forecasting_csv": ("model=gru", "task.seq_len=10", "task.targets=[OT]", "optimizer.lr=0.3"),
    "language_text": ("model=lstm", "model.tied=true", "task.seq_len=10"),
    "labelling_conll": ("model=elman", "model.bidirectional=true"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each of the families."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def runs(data: Path, store: str) -> dict[str, Logged]:
    """A run of every family."""
    made, monkeypatch = {}, pytest.MonkeyPatch()
    monkeypatch.chdir(data)
    for task, given in samples.own(data).items():
        overrides = (f"task={task}", f"tracking.uri={store}", *given, *TINY, "trainer.validate_every=4", "slug=trained")
        config = validate(composed(*overrides, *FAMILIES[task]))
        made[task] = find_one(store, train(config).run_id)
    monkeypatch.undo()
    return made


@pytest.mark.parametrize("task", FAMILIES)
def test_the_predictions_on_test_are_those_that_the_measures_are_of(runs: dict[str, Logged], task: str) -> None:
    run = runs[task]
    learnt: Preprocessing = load_trained(run, "last").learnt
    for name, value in learnt.measures(run.table("predictions.parquet")).items():
        assert value == pytest.approx(run.measures[f"{name}/test"], rel=1e-5)


@pytest.mark.parametrize("task", FAMILIES)
def test_the_best_weights_are_those_of_the_best_validation(runs: dict[str, Logged], task: str, tmp_path: Path) -> None:
    run = runs[task]
    measure = f"{run.tags['primary']}/val"
    points = [(value, update) for _, update, value in run.points([measure])]
    sign = 1 if run.tags["direction"] == "minimize" else -1
    best, update = min(points, key=lambda point: (sign * point[0], point[1]))
    (tmp_path / "best").write_bytes(run.read("weights/best.safetensors"))
    with safe_open(tmp_path / "best", "pt") as file:
        found = file.metadata()
    assert found["update"] == str(update)
    assert float(found[measure]) == pytest.approx(best)


def test_a_network_predicts_of_a_new_table_what_it_predicted_of_the_same_rows_on_test(
    runs: dict[str, Logged], data: Path, store: str, tmp_path: Path
) -> None:
    run = runs["forecasting_csv"]
    kept = run.table("predictions.parquet")
    table = pd.read_csv(data / "own.csv", parse_dates=["date"])
    part = table[table["date"] >= kept["time"].min()]
    part.to_csv(tmp_path / "new.csv", index=False)
    of_file, of_table = (api.predict(run.run_id, new, "last", store) for new in (tmp_path / "new.csv", part))
    assert of_file["time"].tolist() == of_table["time"].tolist()
    assert of_file["predicted"].tolist() == of_table["predicted"].tolist()
    for column in ("true", "predicted"):
        np.testing.assert_allclose(of_file[column][: len(kept)], kept[column], rtol=1e-4, atol=1e-5)
    assert of_file["true"].isna().tolist() == [False] * len(kept) + [True]  # of the last row nobody knows it yet
    following = table["OT"].to_numpy()[-len(kept) :]
    np.testing.assert_allclose(of_file["true"][:-1], following, rtol=1e-4, atol=1e-5)


def test_a_network_labels_new_sentences_with_labels_and_without(
    runs: dict[str, Logged], data: Path, store: str, tmp_path: Path
) -> None:
    run = runs["labelling_conll"]
    kept = run.table("predictions.parquet")
    whole = api.predict(run.run_id, data / "own.conllu", "last", store).tail(len(kept))
    for column in ("token", "true", "predicted"):
        assert whole[column].tolist() == kept[column].tolist()
    np.testing.assert_allclose(whole["probability"], kept["probability"], rtol=1e-5)
    (tmp_path / "bare.conllu").write_text("1\tthe\n2\tzebra\n\n1\tAnna\n2\tsees\n")
    bare = api.predict(run.run_id, tmp_path / "bare.conllu", store=store)
    assert bare.columns.tolist() == ["sentence", "token", "predicted", "probability"]
    assert bare["sentence"].tolist() == [1, 1, 2, 2]
    assert bare.attrs == {"measures": {}, "unknown": 0.25}


def test_a_network_gives_every_word_of_a_new_text_its_probability(
    runs: dict[str, Logged], store: str, tmp_path: Path
) -> None:
    (tmp_path / "new.txt").write_text("the cat sees\nthe zebra\n")
    found = api.predict(runs["language_text"].run_id, str(tmp_path / "new.txt"), store=store)
    assert found["token"].tolist() == ["cat", "sees", "<eos>", "the", "zebra", "<eos>"]
    trained = load_trained(runs["language_text"])
    tokens = trained.learnt.encode("the cat sees\nthe zebra\n")[1]  # type: ignore[attr-defined]
    logs = trained.model(tokens[:-1, None])[0][:, 0].log_softmax(-1)
    np.testing.assert_allclose(found["log_probability"], logs[range(6), tokens[1:]], rtol=1e-5)
    assert found.attrs["unknown"] == pytest.approx(1 / 7)
    assert found.attrs["measures"]["nats"] == pytest.approx(-found["log_probability"].mean())
    assert "drawn by their probabilities" in runs["language_text"].read("sample.txt").decode()


@pytest.mark.parametrize(
    ("task", "file", "why"),
    [
        ("forecasting_csv", "own.txt", "no column 'date'"),
        ("forecasting_csv", "none.csv", "there is no file"),
        ("language_text", "own.csv", ""),  # any text can be read; that it is another one shows in `unknown`
        ("labelling_conll", "own.txt", "columns"),
    ],
)
def test_what_cannot_be_read_as_the_training_data_is_refused_in_a_sentence(
    runs: dict[str, Logged], data: Path, store: str, task: str, file: str, why: str
) -> None:
    if not why:
        assert api.predict(runs[task].run_id, data / file, store=store).attrs["unknown"] > 0.6
        return
    with pytest.raises(ConfigError, match=why):
        api.predict(runs[task].run_id, data / file, store=store)


def test_weights_that_are_not_there_or_not_those_of_the_run_are_refused(
    runs: dict[str, Logged], configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs["labelling_conll"]
    with pytest.raises(ConfigError, match="allowed are best and last"):
        load_trained(run, "first")
    changed, read = bytearray(run.read("weights/last.safetensors")), Logged.read
    swapped = {"weights/last.safetensors": runs["language_text"].read("weights/last.safetensors")}
    monkeypatch.setattr(Logged, "read", lambda self, name: swapped.get(name) or read(self, name))
    with pytest.raises(ConfigError, match="do not fit its configuration"):
        load_trained(run, "last")
    changed[-1] ^= 1
    swapped["weights/last.safetensors"] = bytes(changed)
    with pytest.raises(ConfigError, match="not those it was logged with"):
        load_trained(run, "last")
    monkeypatch.setattr(Logged, "files", lambda self, folder=None: iter(()))
    with pytest.raises(ConfigError, match=r"keeps no weights.*reproduce"):
        load_trained(run)


def test_callbacks_that_a_run_names_are_not_needed_for_its_weights_and_not_executed_unasked(
    runs: dict[str, Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, read = runs["labelling_conll"], Logged.read
    other = {CONFIG: run.read(CONFIG).replace(b"callbacks: []", b"callbacks: [nowhere.Mine]")}
    monkeypatch.setattr(Logged, "read", lambda self, name: other.get(name) or read(self, name))
    with pytest.raises(ConfigError, match=r"\['nowhere.Mine'\]: executed, .* --trust-code"):
        restore_run(run, None)
    assert load_trained(run, "last").config.trainer.callbacks == []
    with pytest.raises(ConfigError, match=r"trainer.callbacks = 'nowhere.Mine': ModuleNotFoundError"):
        assemble(restore_run(run, Path()).config)


def test_a_run_that_diverged_before_it_was_validated_has_its_last_weights_alone(configure: Configure) -> None:
    config = configure("task=forecasting_adding", *TINY, "task.seq_len=5", "optimizer=sgd", "optimizer.lr=1e9")
    run = find_one(config.tracking.uri, train(config).run_id)
    assert run.tags["outcome"] == "diverged"
    assert load_trained(run, "last").model is not None
    with pytest.raises(ConfigError, match=r"no best weights.*diverged.*weights=last are there"):
        load_trained(run)


EXPORTED = """
import sys
import numpy as np, torch
from study import api
from study.errors import ConfigError
from study.models import Inputs, RecurrentModel, core_class
from study.models.cell import Cell, layered
from study.trained import graph
from study.trained.export import main

class ReadsItsSize(Cell):
    def __init__(self, features, hidden_size):
        super().__init__(features, hidden_size)
        self.W = torch.nn.Linear(features, hidden_size)

    def initial(self, inputs):
        return (inputs.new_zeros(len(inputs), self.hidden_size),)

    def step(self, inputs, state):
        return ((self.W(inputs) + state[0]).tanh(),)

run, store = sys.argv[1:]
assert [main([run, "--store", store, "--weights", "last"]) for _ in range(2)] == [0, 0]
entering = [torch.randint(5, size) for size in ((1, 1), (60, 2), (3, 40))]
network = api.model(run, "last", store)
np.savez("in.npz", *[tokens.numpy() for tokens in entering])
np.savez("out.npz", *[network(tokens)[0].numpy() for tokens in entering])

sizes, inputs = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}, Inputs(3, False)
for build in (core_class("orthogonal"), core_class("selective"), layered(ReadsItsSize)):
    model = RecurrentModel(inputs, build(3, 4, 2), 2, 0.5, build(3, 4, 2)).eval().requires_grad_(False)
    example = (graph.example(inputs, 1, *graph.EXAMPLE),)
    torch.export.save(torch.export.export(graph.Outputs(model), example, dynamic_shapes=(sizes,)), "graph.pt2")
    try:
        graph.refuse_other("graph.pt2", model, inputs, 1)
        print("a graph")
    except ConfigError as error:
        print("refused:", error)
"""
LOADED = """
import sys
sys.modules["study"] = None  # to import it is an error
import mlflow, numpy as np, torch
mlflow.set_tracking_uri(sys.argv[1])
network = mlflow.pytorch.load_model(sys.argv[2])
for entering, expected in zip(np.load("in.npz").values(), np.load("out.npz").values()):
    torch.testing.assert_close(network(torch.tensor(entering)), torch.tensor(expected), rtol=1e-5, atol=1e-6)
"""


def test_an_exported_network_opens_without_this_package_at_any_length_and_batch_size(
    runs: dict[str, Logged], store: str, tmp_path: Path
) -> None:
    run = runs["language_text"]

    def python(program: str, *arguments: str, isolated: bool = False) -> str:
        """Without the checks of shapes that tests have, which torch cannot trace."""
        command = [sys.executable, *(["-I"] if isolated else []), "-W", "ignore", "-c", program, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(CONF.parent)}
        return subprocess.run(
            command, check=True, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        ).stdout

    printed = python(EXPORTED, run.run_id, store)
    address = models.exported(run, "last")
    assert address is not None
    assert f"Exported the last weights of run {run.run_id}: {address}" in printed
    assert f"exported already: {address}" in printed
    *graphs, refused = printed.splitlines()[-3:]
    assert graphs == ["a graph", "a graph"]
    assert refused.startswith("refused: model: traced at 4 steps of 3 sequences")
    python(LOADED, store, address, isolated=True)
