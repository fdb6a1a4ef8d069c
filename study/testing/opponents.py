"""Claims that every opponent must meet; see `study.testing` for how to run them on an opponent of your own."""

import pytest
import torch
from torch import Tensor

from study.opponents import Fitted, measure
from study.tasks import Batch, Metrics, Split, Task
from study.tasks.synthetic import Synthetic


def predict(fitted: Fitted, batch: Batch) -> Tensor:
    """Predictions at the start of the columns."""
    return fitted.predict(batch, batch.inputs[:0])


def counted(batch: Batch) -> Tensor:
    """The mask of a batch, True everywhere if it has none."""
    return torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask


class Recorded(Metrics):
    """Counts steps and keeps the dense predictions of `metrics`, whatever the opponent's own way of counting."""

    def __init__(self, metrics: Metrics):
        self.metrics, self.steps = metrics, 0

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """See `Metrics`."""
        self.steps += batch.steps
        self.metrics.update(predictions, batch)

    def compute(self) -> dict[str, float]:
        """See `Metrics`."""
        return self.metrics.compute()


class OpponentContract:
    """Claims that every opponent must meet. Override the fixtures `task` and `fitted`."""

    @pytest.fixture
    def task(self) -> Task:
        """A small task that names the opponent."""
        raise NotImplementedError("override the fixture `task`")

    @pytest.fixture
    def fitted(self) -> Fitted:
        """The opponent, fitted to `task`."""
        raise NotImplementedError("override the fixture `fitted`: return what your `fit(task)` returns")

    @pytest.fixture
    def batch(self, task: Task) -> Batch:
        """The first validation batch."""
        return next(task.batches("val").epoch(0))

    def test_predictions_are_finite_and_of_the_form_of_a_networks(self, task: Task, fitted: Fitted) -> None:
        """(time, batch, values), or (time, batch, classes) that sum to one."""
        for split in ("val", "test"):
            batch = next(task.batches(split).epoch(0))
            predictions = predict(fitted, batch)
            assert predictions.shape == (*batch.targets.shape[:2], task.targets)
            assert predictions.dtype == torch.float32
            assert predictions[counted(batch)].isfinite().all()
            if not batch.targets.is_floating_point():
                assert (predictions >= 0).all()
                torch.testing.assert_close(predictions.sum(-1), torch.ones(predictions.shape[:2]))

    def test_it_never_looks_at_the_future(self, fitted: Fitted, batch: Batch) -> None:
        """Other inputs from a step on leave every prediction before it as it was."""
        if fitted.reads_ahead:
            pytest.skip("it reads ahead, as a bidirectional network does")
        before = predict(fitted, batch)
        for step in {1, len(batch.inputs) // 3, len(batch.inputs) - 1}:
            inputs = batch.inputs.clone()
            inputs[step:] = batch.inputs[step:].flip(0, 1)
            assert torch.equal(predict(fitted, batch._replace(inputs=inputs))[:step], before[:step])

    def test_it_never_looks_at_the_targets(self, task: Task, fitted: Fitted, batch: Batch) -> None:
        """Nothing but inputs and lengths enters."""
        if isinstance(task, Synthetic):
            pytest.skip("the guess at a drawn task knows where an answer is due")
        blind = batch._replace(targets=torch.zeros_like(batch.targets))
        assert torch.equal(predict(fitted, blind), predict(fitted, batch))

    def test_what_follows_a_sequence_does_not_matter(self, fitted: Fitted, batch: Batch) -> None:
        """Padding is no input."""
        padding = torch.arange(len(batch.inputs))[:, None] >= batch.lengths
        inputs = torch.where(padding.view(*padding.shape, *[1] * (batch.inputs.ndim - 2)), 1, batch.inputs)
        other = predict(fitted, batch._replace(inputs=inputs.to(batch.inputs.dtype)))
        assert torch.equal(other[~padding], predict(fitted, batch)[~padding])

    def test_sequences_side_by_side_do_not_know_each_other(self, fitted: Fitted, batch: Batch) -> None:
        """A column alone is predicted as among others."""
        last = slice(batch.targets.shape[1] - 1, None)
        mask = None if batch.mask is None else batch.mask[:, last]
        alone = predict(fitted, Batch(batch.inputs[:, last], batch.targets[:, last], mask))
        together = predict(fitted, batch)[:, last]
        torch.testing.assert_close(alone[counted(batch)[:, last]], together[counted(batch)[:, last]])

    def test_a_carried_stream_may_be_cut_anywhere(self, task: Task, fitted: Fitted, batch: Batch) -> None:
        """The inputs before a batch do what the state of a network does."""
        if not task.batches("val").stateful:
            pytest.skip("sequences start anew with every batch")
        for cut in (1, len(batch.inputs) // 2):
            before = batch.inputs[max(0, cut - fitted.memory) : cut]
            later = fitted.predict(batch.between(cut, len(batch.inputs)), before)
            assert torch.equal(later, predict(fitted, batch)[cut:])

    @pytest.mark.parametrize("split", ["val", "test"])
    def test_it_is_measured_on_the_steps_that_a_network_is_measured_on(
        self, task: Task, fitted: Fitted, split: Split
    ) -> None:
        """The measures are those of its predictions, by the task's own metrics, over all batches of the split."""
        batches, dense = task.batches(split), Recorded(task.metrics())
        seen: Tensor | None = None
        for batch in batches.epoch(0):
            before = batch.inputs[:0] if seen is None or not batches.stateful else seen
            dense.update(fitted.predict(batch, before), batch)
            seen = torch.cat([before, batch.inputs])
        assert dense.steps == sum(batch.steps for batch in batches.epoch(0))
        assert measure(fitted, task, split) == pytest.approx(dense.compute(), rel=1e-5)
