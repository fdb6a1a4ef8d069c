"""What is written to MLflow: numbers as they are, and how a run really ended."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Entity
from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException

from study.errors import ConfigError
from study.schema import Config
from study.tracking import store, sweeps, writer
from study.tracking.description import describe
from study.tracking.place import Place
from study.tracking.reader import find, find_one

Configure = Callable[..., Config]


def record(config: Config, inside: Callable[[writer.Run], None]) -> str:
    with writer.run(describe(config), Place("a name", tags={"colour": "red"})) as run:
        inside(run)
    return run.run_id


def stored(config: Config, run_id: str) -> Entity:
    return MlflowClient(config.tracking.uri).get_run(run_id)


def latest(config: Config) -> Entity:
    client = MlflowClient(config.tracking.uri)
    found = client.get_experiment_by_name(config.slug)
    assert found is not None
    return client.search_runs([found.experiment_id], max_results=1)[0]


def test_a_run_that_ends_well_is_finished_and_says_what_it_was(configure: Configure) -> None:
    config = configure("slug=well", "bptt.k2=7", "clip=norm", "seed=3")
    run = stored(config, record(config, lambda run: run.end({"outcome": "completed", "cause": "reach"})))
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "a name · completed (reach)"
    expected = {"task": config.task.name, "model": "elman", "loss": "mse", "k1": "7", "k2": "7", "clip": "norm"}
    expected |= {"seed": "3", "outcome": "completed", "colour": "red"}
    assert expected.items() <= run.data.tags.items()
    expected = {"model.hidden_size": "64", "clip.threshold": "1.0", "trainer.max_epochs": "None"}
    assert expected.items() <= run.data.params.items()


def test_a_server_gets_its_tags_as_texts(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    create = MlflowClient.create_run

    def over_the_wire(client: MlflowClient, experiment: str, tags: dict[str, str]) -> Entity:
        assert [RunTag(key, value).to_proto().value for key, value in tags.items()] == list(tags.values())
        return create(client, experiment, tags=tags)

    monkeypatch.setattr(MlflowClient, "create_run", over_the_wire)
    config = configure("slug=wire")
    with writer.run(describe(config), Place("a name", tags={"trial": 3})) as run:
        assert stored(config, run.run_id).data.tags["trial"] == "3"


def test_a_run_that_is_given_no_name_is_called_by_its_model_clip_task_and_seed(configure: Configure) -> None:
    config = configure("slug=well", "model=gru", "seed=3")
    with writer.run(describe(config), Place()) as run:
        pass
    assert stored(config, run.run_id).info.run_name == "gru no clip stocks s3"


def test_a_resumed_run_keeps_its_name_and_its_end_is_forgotten(configure: Configure) -> None:
    config = configure("slug=well")
    with pytest.raises(KeyboardInterrupt), writer.run(describe(config), Place("first", tags={"a": 1})) as run:
        raise KeyboardInterrupt
    killed = stored(config, run.run_id)
    assert (killed.data.tags["outcome"], killed.info.run_name) == ("killed", "first · killed")
    with writer.run(describe(config), Place("second", tags={"b": 2}, resume=run.run_id), {"c": 3}) as resumed:
        found = stored(config, run.run_id)
        assert (found.info.status, found.info.run_name) == ("RUNNING", "first")
        assert "outcome" not in found.data.tags
    assert resumed.run_id == run.run_id
    assert {"a": "1", "b": "2", "c": "3"}.items() <= stored(config, run.run_id).data.tags.items()


def test_a_run_is_found_by_its_name_with_and_without_its_end_and_by_no_name_that_two_have(configure: Configure) -> None:
    config = configure("slug=named")
    uri, ended = config.tracking.uri, []
    for name, outcome in (("elman_1 s0", "ruined"), ("elman_1 s1", "completed"), ("elman_1 s1", "diverged")):
        with writer.run(describe(config), Place(name)) as run:
            run.end({"outcome": outcome, "cause": "step size"})
        ended.append(run.run_id)
    assert find_one(uri, "elman_1 s0").run_id == find_one(uri, "elman_1 s0 · ruined (step size)").run_id == ended[0]
    assert find_one(uri, "elman_1 s1 · completed (step size)").run_id == ended[1]
    with pytest.raises(ConfigError, match=f"is not one run but 2; give the id:\n  {ended[1]}  elman_1 s1 · completed"):
        find_one(uri, "elman_1 s1")
    for unknown in ("elman_1", "elman-1 s0", "elman_1 s0 · completed (step size)"):
        with pytest.raises(ConfigError, match="no run has this id or name"):
            find_one(uri, unknown)


def test_a_description_holds_nothing_of_this_machine(configure: Configure) -> None:
    described = describe(configure("slug=well", "data.cache=/home/me/secret"))
    assert not {"data", "sweep"} & set(described.config)
    assert "uri" not in described.config["tracking"]
    assert "secret" not in str(described.config)


def test_without_truncation_the_tags_say_full(configure: Configure) -> None:
    config = configure("slug=well")
    run = stored(config, record(config, lambda run: None))
    assert (run.data.tags["k1"], run.data.tags["k2"]) == ("full", "full")


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (KeyboardInterrupt, "KILLED", "killed"),
        (SystemExit, "KILLED", "killed"),
        (RuntimeError("it broke"), "FAILED", "failed"),
        (RuntimeError("x" * 100_000), "FAILED", "failed"),
    ],
)
def test_the_status_is_how_a_run_ended_and_the_error_is_raised(
    configure: Configure, error: Any, status: str, outcome: str
) -> None:
    config = configure("slug=ends")

    def fail(run: writer.Run) -> None:
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        record(config, fail)
    run = latest(config)
    assert run.info.status == status
    assert run.info.end_time is not None
    assert run.data.tags["outcome"] == outcome
    assert ("it broke" in str(error)) <= (run.data.tags.get("error") == "RuntimeError: it broke")


def test_thousands_of_points_arrive_at_their_updates_nan_and_inf_among_them(configure: Configure) -> None:
    config, client = configure("slug=points"), MlflowClient(configure().tracking.uri)
    values = [0.5, math.nan, math.inf, -math.inf, 1e300] * 150
    points = [(step, {f"group/{name}": value for name in "abc"}) for step, value in enumerate(values)]
    run_id = record(config, lambda run: run.log_points(points))
    found = {m.step: m.value for m in client.get_metric_history(run_id, "group/b")}
    assert len(found) == 750
    assert found[0] == 0.5
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(1.797e308, rel=1e-3)  # the largest number there is: how MLflow keeps inf
    assert found[4] == 1e300


def test_files_come_back_as_they_were_given(configure: Configure, tmp_path: Path) -> None:
    config, table = configure("slug=files"), pa.table({"x": [1.0, math.nan, math.inf]})

    def keep(run: writer.Run) -> None:
        run.log_table(table, "table.parquet")
        run.log_texts({"words.txt": "naïve\n"}, "texts")

    client, run_id = MlflowClient(config.tracking.uri), record(config, keep)
    client.download_artifacts(run_id, "", str(tmp_path))
    assert pq.read_table(tmp_path / "table.parquet")["x"].to_pylist()[::2] == [1.0, math.inf]
    assert (tmp_path / "texts" / "words.txt").read_text() == "naïve\n"


def test_a_sweep_is_a_parent_with_its_runs_nested_under_it(configure: Configure) -> None:
    config = configure("slug=family")
    parent = sweeps.open_parent(config.tracking.uri, config.slug, "plan: of the sweep\n")
    with writer.run(describe(config), Place("child", parent)) as run:
        pass
    sweeps.close_parent(config.tracking.uri, parent, "FINISHED", {"done": 1})
    assert stored(config, run.run_id).data.tags["mlflow.parentRunId"] == parent
    assert stored(config, parent).info.status == "FINISHED"
    assert stored(config, parent).data.tags["done"] == "1"


def test_a_sweep_that_was_killed_before_its_study_knew_its_run_finds_it_again(configure: Configure) -> None:
    config = configure("slug=orphaned")
    asked = config.tracking.uri, config.slug, "plan: of the sweep\n"
    first = sweeps.open_parent(*asked)
    assert sweeps.open_parent(*asked) == first
    with writer.run(describe(config), Place("child", first)):
        pass
    assert sweeps.open_parent(*asked) != first  # another study's sweep, which is under way


def test_a_data_set_that_another_process_logs_at_the_same_moment_is_no_failure(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def second(_: MlflowClient, run_id: str, inputs: object) -> None:
        calls.append(run_id)
        if len(calls) == 1:
            raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id")

    monkeypatch.setattr(MlflowClient, "log_inputs", second)
    record(configure("slug=at-once"), lambda run: run.log_data("name", "source", {"train": ("digest", 1)}))
    assert len(calls) == 2


def test_preparing_a_store_twice_gives_the_same_experiment(configure: Configure) -> None:
    uri = configure().tracking.uri
    assert store.prepare(uri, "twice") == store.prepare(uri, "twice")


def test_a_deleted_experiment_is_refused_in_words(configure: Configure) -> None:
    uri = configure().tracking.uri
    MlflowClient(uri).delete_experiment(store.prepare(uri, "deleted"))
    how = "it was deleted; `MLFLOW_TRACKING_URI=.* .*mlflow experiments restore --experiment-id [0-9]+` brings it back"
    with pytest.raises(ConfigError, match=f"slug = 'deleted': this MLflow experiment cannot be used, {how}"):
        store.prepare(uri, "deleted")
    with pytest.raises(ConfigError, match=f"RUN = 'deleted': {how}"):
        find(uri, "deleted")


def test_a_deleted_run_is_not_found_but_said_to_be_deleted(configure: Configure) -> None:
    config = configure("slug=one-deleted")
    run_id = record(config, lambda run: None)
    MlflowClient(config.tracking.uri).delete_run(run_id)
    with pytest.raises(ConfigError, match=f"mlflow runs restore --run-id {run_id}` brings it back"):
        find(config.tracking.uri, run_id[:8])


@pytest.mark.parametrize("uri", ["a-folder", "unknown://host/name", "sqlite:///{folder}/not-a-database.db"])
def test_a_store_that_cannot_be_used_is_refused_in_words(uri: str, tmp_path: Path) -> None:
    (tmp_path / "not-a-database.db").write_text("something else\n" * 100)
    uri = uri.format(folder=tmp_path)
    with pytest.raises(ConfigError, match=f"tracking.uri = '{uri}': (MLflow cannot use|this file is no)"):
        store.prepare(uri, "anything")
