"""Claims that every task must meet; see `study.testing` for how to run them on a task of your own."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from study import tasks
from study.schema.run import DataConfig
from study.schema.task import DrawnConfig, TaskConfig
from study.tasks import SPLITS, Batch, Batches, Split, Task
from study.tasks.batches import Fresh
from study.tracking import provenance

Make = Callable[[int], Task]
"""Builds the task for a seed."""

DATA = DataConfig(carriers=None, cache=None)


def first(batches: Batches, most: int = 50) -> list[Batch]:
    """The first batches of epoch 0."""
    return [batch for batch, _ in zip(batches.epoch(0), range(most), strict=False)]


def equal(left: Batch, right: Batch) -> bool:
    """Whether two batches hold the same bits."""
    pairs = zip(left, right, strict=True)
    return all((a is None and b is None) or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def sequences(batch: Batch) -> list[bytes]:
    """Every sequence of a batch as bytes, without padding."""
    return [
        batch.inputs[:length, i].numpy().tobytes() + batch.targets[:length, i].numpy().tobytes()
        for i, length in enumerate(batch.lengths.tolist())
    ]


def oracle(batch: Batch, task: Task) -> Tensor:
    """The predictions of one who knows the targets."""
    return batch.targets if batch.targets.is_floating_point() else one_hot(batch.targets, task.targets).float()


def counted(batch: Batch) -> Tensor:
    """The mask of a batch, True everywhere if it has none."""
    return torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask


class TaskContract:
    """Claims that every task must meet. Override the fixture `config`; for a task outside the registry `make` too."""

    @pytest.fixture
    def config(self) -> TaskConfig:
        """The configuration of the task, such as `study.tasks.configure("labelling_parity", sequences=100)`."""
        raise NotImplementedError("override the fixture `config`: return the configuration of your task")

    @pytest.fixture
    def make(self, config: TaskConfig) -> Make:
        """Builds the task for a seed, anew at every call."""
        return lambda seed: tasks.build(config, DATA, seed)

    @pytest.fixture
    def task(self, make: Make) -> Task:
        """The task for seed 0."""
        return make(0)

    @pytest.fixture(params=SPLITS)
    def split(self, request: pytest.FixtureRequest) -> Split:
        """Every split."""
        return request.param

    def test_it_says_what_it_is(self, task: Task, config: TaskConfig) -> None:
        """Its name starts with its family, its data have a source, and runs are ranked by a measure it has."""
        assert config.name.startswith(f"{config.family}_"), f"{config.name} does not start with {config.family}_"
        assert task.source, "no source"
        assert task.primary in task.baseline_metrics("val"), f"{task.primary} is not measured"
        assert task.direction in {"minimize", "maximize"}

    def test_its_horizon_is_known_or_a_guess(self, task: Task, config: TaskConfig) -> None:
        """The task and its configuration agree, and a drawn task knows how far back it needs the past."""
        assert task.horizon_known == config.horizon_known
        assert task.horizon_known or not isinstance(config, DrawnConfig), "drawn, but its horizon is a guess"

    def test_a_guess_without_memory_does_not_solve_it(self, task: Task) -> None:
        """Where there is a criterion of success, a network has to remember to meet it."""
        guess = task.baseline_metrics("test")
        assert task.solved(guess, guess) in (None, False), "a guess without memory solves it"

    def test_batches_hold_what_the_task_declares(self, task: Task, config: TaskConfig, split: Split) -> None:
        """Batches are time-major; tokens, classes and values are of the types, shapes and ranges declared."""
        for batch in first(task.batches(split)):
            assert batch.inputs.shape[:2] == batch.targets.shape[:2], "inputs and targets differ in time or width"
            if task.inputs.tokens:
                assert batch.inputs.dtype == torch.int64, f"tokens are {batch.inputs.dtype}"
                assert 0 <= batch.inputs.min() <= batch.inputs.max() < task.inputs.size, "a token is out of range"
            else:
                assert batch.inputs.shape[2:] == (task.inputs.size,), f"features are {tuple(batch.inputs.shape)}"
                assert batch.inputs.dtype == torch.float32, f"features are {batch.inputs.dtype}"
                assert batch.inputs.isfinite().all(), "a feature is not finite"
            if config.kind == "regression":
                assert batch.targets.shape[2:] == (task.targets,), f"targets are {tuple(batch.targets.shape)}"
                assert batch.targets.isfinite().all(), "a target is not finite"
            else:
                assert batch.targets.ndim == 2, f"classes are {tuple(batch.targets.shape)}"
                # Only the training part shows every class that there is; elsewhere others count as wrong.
                targets = batch.targets if split == "train" else task.metrics().nameable(batch).targets
                assert 0 <= targets.min() <= targets.max() < task.targets, "a class is out of range"

    def test_training_batches_are_no_wider_than_the_batch_size(self, task: Task, config: TaskConfig) -> None:
        """The widest training batch has `batch_size` sequences."""
        assert max(batch.targets.shape[1] for batch in task.batches("train").epoch(0)) == config.batch_size

    def test_padding_is_zero_and_every_sequence_counts(self, task: Task, split: Split) -> None:
        """Every sequence has a step that counts, and nothing but zeros after its last."""
        for batch in first(task.batches(split)):
            assert (batch.lengths > 0).all(), "a sequence has no step that counts"
            padding = torch.arange(len(batch.targets))[:, None] >= batch.lengths
            assert not batch.targets[padding].any(), "targets in the padding"
            assert not batch.inputs[padding].any(), "inputs in the padding"

    def test_an_epoch_holds_as_many_batches_as_it_says(self, task: Task, split: Split) -> None:
        """The length, the keys and the batches of an epoch agree."""
        batches = task.batches(split)
        for epoch in (0, 3):
            assert sum(1 for _ in batches.epoch(epoch)) == len(batches) == len(batches.keys(epoch))

    def test_an_epoch_depends_on_its_number_alone(self, task: Task, make: Make, split: Split) -> None:
        """Neither torch's random state nor epochs read before change an epoch, of this task or of another like it."""
        batches = task.batches(split)
        before = first(batches, 5)
        torch.manual_seed(1)
        for _ in batches.epoch(1):
            break
        again = first(make(0).batches(split), 5)
        assert all(equal(*pair) for pair in zip(before, again, strict=True))

    def test_an_epoch_can_start_at_any_batch(self, task: Task, split: Split) -> None:
        """An epoch from some batch on is the tail of the whole epoch."""
        batches = task.batches(split)
        start = len(batches) * 2 // 3
        whole, tail = list(batches.epoch(2)), list(batches.epoch(2, start))
        assert all(equal(*pair) for pair in zip(whole[start:], tail, strict=True))

    def test_every_epoch_holds_the_same_sequences_or_fresh_ones(self, task: Task, split: Split) -> None:
        """Every sequence comes as often in each epoch; drawn ones are new in each, up to a few by chance."""
        batches = task.batches(split)
        zeroth, later = (Counter(s for batch in batches.epoch(e) for s in sequences(batch)) for e in (0, 5))
        if isinstance(batches, Fresh) and not batches.fixed:
            assert len(zeroth.keys() & later.keys()) < 0.05 * zeroth.total(), "an epoch repeats sequences of another"
            assert zeroth.total() == later.total(), "epochs hold different numbers of sequences"
        else:
            assert zeroth == later, "epochs hold different sequences"
        items = sum(batch.steps for batch in batches.epoch(0)) if batches.stateful else zeroth.total()
        assert batches.size == items, f"size is {batches.size}, an epoch holds {items}"

    def test_only_training_is_shuffled(self, task: Task, make: Make) -> None:
        """Validation and test are the same for every seed; training is in another order for each seed and epoch."""
        zero, one = task, make(1)
        for split in SPLITS[1:]:
            pairs = zip(first(zero.batches(split)), first(one.batches(split)), strict=True)
            assert all(equal(*pair) for pair in pairs), f"{split} depends on the seed"
        batches = zero.batches("train")
        if not batches.stateful:
            start = next(batches.epoch(0))
            assert not equal(start, next(batches.epoch(1))), "training is not shuffled"
            assert not equal(start, next(one.batches("train").epoch(0))), "the seed does not shuffle training"

    def test_a_stream_continues_from_batch_to_batch_and_from_column_to_column(self, task: Task, split: Split) -> None:
        """If the state is carried, each batch starts where the one before ended; of a text each column too.

        A drawn stream cuts its columns from one draw, and says itself what its targets are.
        """
        batches = task.batches(split)
        if not batches.stateful or isinstance(batches, Fresh):
            return
        parts = list(batches.epoch(0))
        inputs = torch.cat([batch.inputs for batch in parts])
        targets = torch.cat([batch.targets for batch in parts])
        assert torch.equal(targets[:-1], inputs[1:]), "a target is not the next input"
        assert torch.equal(targets[-1, :-1], inputs[0, 1:]), "a column does not continue the one before"

    def test_splits_are_different_data(self, task: Task) -> None:
        """No two splits hold the same tensors."""
        assert len({digest for digest, _ in provenance.splits(task).values()}) == len(SPLITS)

    def test_no_evaluation_sequence_is_one_of_training(self, task: Task, split: Split) -> None:
        """Drawn validation and test sequences are not those of the first epoch, up to a few by chance."""
        batches = task.batches(split)
        if split != "train" and isinstance(batches, Fresh):
            seen = {s for batch in task.batches("train").epoch(0) for s in sequences(batch)}
            tested = [s for batch in batches.epoch(0) for s in sequences(batch)]
            again = sum(s in seen for s in tested)
            assert again < 0.05 * len(tested), f"{again} of {len(tested)} sequences of {split} were trained on"

    def test_the_digest_is_of_the_data_not_of_their_order(self, task: Task, make: Make) -> None:
        """A task built twice has one digest; another seed changes it only if training is drawn."""
        zero, again, one = (provenance.splits(each) for each in (task, make(0), make(1)))
        assert zero == again, "the same seed gives other tensors"
        drawn = isinstance(task.batches("train"), Fresh)
        assert (zero["train"] == one["train"]) != drawn
        assert (zero["val"], zero["test"]) == (one["val"], one["test"])

    def test_the_baseline_is_finite_and_an_oracle_beats_it(self, task: Task, split: Split) -> None:
        """Measures of the baseline are finite numbers, and by the primary one who knows the targets is better."""
        knowing, guessing = task.metrics(), task.metrics()
        for batch in first(task.batches(split), 20):
            knowing.update(oracle(batch, task), batch)
            guessing.update(task.baseline(batch), batch)
        best, baseline = knowing.compute(), guessing.compute()
        assert torch.tensor(list(baseline.values())).isfinite().all(), f"the baseline's measures are {baseline}"
        assert best.keys() == baseline.keys()
        sign = 1 if task.direction == "maximize" else -1
        assert sign * best[task.primary] > sign * baseline[task.primary], f"{task.primary}: an oracle is not better"

    def test_baseline_predictions_are_shaped_as_a_networks(self, task: Task, config: TaskConfig) -> None:
        """One value for every target, or a probability for every class."""
        batch = next(task.batches("val").epoch(0))
        guess = task.baseline(batch)
        assert guess.shape == (*batch.targets.shape[:2], task.targets), f"the baseline is {tuple(guess.shape)}"
        if config.kind != "regression":
            torch.testing.assert_close(guess.sum(-1), torch.ones(guess.shape[:2]))
            assert (guess >= 0).all(), "a probability is negative"

    def test_measures_do_not_see_steps_that_do_not_count(self, task: Task) -> None:
        """Predictions and targets where the mask is False change no measure."""
        batch = next(task.batches("val").epoch(0))
        mask = counted(batch).clone()
        mask[::3] = False
        clean, dirty = task.metrics(), task.metrics()
        guess = task.baseline(batch)
        clean.update(guess, batch._replace(mask=mask))
        scrambled = torch.where(mask.unsqueeze(-1), guess, guess.roll(1, -1) * 0.5 + 0.1)
        wrong = batch.targets.roll(1, 0)
        targets = torch.where(mask if wrong.ndim == 2 else mask.unsqueeze(-1), batch.targets, wrong)
        dirty.update(scrambled, Batch(batch.inputs, targets, mask))
        assert clean.compute() == dirty.compute()

    def test_measures_of_many_batches_are_those_of_one(self, task: Task) -> None:
        """Measures are of the whole split, not means over its batches."""
        batch = next(task.batches("val").epoch(0))
        whole, parts = task.metrics(), task.metrics()
        whole.update(task.baseline(batch), batch)
        for start in range(0, batch.targets.shape[1], 2):
            two = slice(start, start + 2)
            mask = None if batch.mask is None else batch.mask[:, two]
            part = Batch(batch.inputs[:, two], batch.targets[:, two], mask)
            parts.update(task.baseline(part), part)
        assert parts.compute() == pytest.approx(whole.compute(), rel=1e-4)
