"""Whole runs with every probe and with none: the same training to the last bit, on streams and on sequences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient

from study.schema import Config
from study.train import assemble, train
from tests.samples import put, text

TEXT = ["task=language_text", "task.batch_size=8", "bptt.k2=20"]
ORDER = ["task=labelling_temporal_order", "task.batch_size=200", "task.held_out=200", "bptt.k2=7", "bptt.k1=3"]
MODEL = ["model.hidden_size=3", "model.num_layers=2", "model.dropout=0.3", "clip=norm", "clip.threshold=0.1"]
BUDGET = ["trainer.max_updates=4", "trainer.validate_every=4", "slug=undisturbed"]
PROBES = ["probe=full", "probe.every=1", "probe.flow.max_lag=5", "probe.flow.samples=4", "probe.truncation.k2=[1,3]"]


@pytest.mark.parametrize(("name", "task"), [("lstm", TEXT), ("gru", ORDER)], ids=["stream", "sequences"])
def test_a_run_with_every_probe_after_every_update_is_the_run_without_any(
    configure: Callable[..., Config], tmp_path: Path, name: str, task: list[str]
) -> None:
    marks = []
    put(tmp_path / "own.txt", text(1500))
    path = [f"task.path={tmp_path / 'own.txt'}"] if task is TEXT else []
    for probes in (["probe=none"], PROBES):
        config = configure(*task, *path, f"model={name}", *MODEL, *BUDGET, *probes)
        run = MlflowClient(config.tracking.uri).get_run(train(config).run_id)
        losses = MlflowClient(config.tracking.uri).get_metric_history(run.info.run_id, "loss/train")
        marks.append((run.data.tags["weights_final"], [point.value for point in losses]))
    assert "truncation/error" in run.data.metrics  # the probes of the second run were really taken
    assert marks[0] == marks[1]


def test_taking_the_frozen_batch_draws_nothing(configure: Callable[..., Any]) -> None:
    _, module = assemble(configure(*ORDER, *MODEL, *PROBES))
    before = torch.get_rng_state()
    module.probes.frozen(torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
