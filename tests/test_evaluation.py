"""Evaluation: a split in batches gives what the whole gives, with training's carry and without."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from study.learning.evaluation import Evaluation
from study.models import RecurrentModel
from study.tasks.contract import Batch, Metrics
from study.verify.networks import MSE
from tests.networks import batch, build


class Kept(Metrics):
    """Keeps all predictions."""

    def __init__(self) -> None:
        self.predictions: list[Tensor] = []

    def update(self, predictions: Tensor, batch: Batch) -> None:
        self.predictions.append(predictions)

    def compute(self) -> dict[str, float]:
        return {"mean": float(torch.cat(self.predictions).mean())}


def pieces(whole: Batch, sizes: list[int]) -> Iterator[Batch]:
    first = 0
    for size in sizes:
        yield whole.between(first, first + size)
        first += size


def evaluate(model: RecurrentModel, chunks: list[list[Batch]], stateful: bool) -> tuple[float, Tensor]:
    kept = Kept()
    evaluation = Evaluation(model, MSE, kept, stateful)
    for chunk in chunks:
        evaluation.add(chunk)
    return evaluation.result()["loss"], torch.cat(kept.predictions)


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_a_stream_in_batches_is_read_as_one_long_sequence(name: str) -> None:
    model, whole = build(name, layers=2), batch(20, 3, 3)
    outputs = model(whole.inputs)[0].detach()
    first, *rest = pieces(whole, [7, 5, 8])
    loss, predictions = evaluate(model, [[first], rest], stateful=True)  # across chunks too
    torch.testing.assert_close(predictions, outputs)
    assert loss == pytest.approx(float((outputs - whole.targets).square().mean()))


def test_sequences_each_start_from_the_initial_state() -> None:
    model, parts = build("gru"), list(pieces(batch(20, 3, 3), [7, 5, 8]))
    _, predictions = evaluate(model, [parts], stateful=False)
    torch.testing.assert_close(predictions, torch.cat([model(part.inputs)[0].detach() for part in parts]))
    carried = evaluate(model, [parts], stateful=True)[1]
    assert not torch.allclose(carried, predictions)


def test_the_loss_of_ragged_batches_is_that_of_all_steps_that_count() -> None:
    model, data = build("gru"), batch(8, 4, 3)
    mask = torch.arange(8)[:, None] < torch.tensor([8, 2, 5, 1])
    halves = [Batch(data.inputs[:, i], data.targets[:, i], mask[:, i]) for i in (slice(0, 2), slice(2, 4))]
    errors = (model(data.inputs)[0].detach() - data.targets).square()[..., 0]
    assert evaluate(model, [halves], stateful=False)[0] == pytest.approx(float(errors[mask].mean()))
