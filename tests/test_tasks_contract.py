"""Claims every task must meet, whatever its data: one suite, run over all names of `conf/task`.

Data that would be downloaded, and the user's own, are small samples made here; all else is the real data.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch.nn.functional import one_hot

from study import tasks
from study.command import CONF
from study.learning import losses
from study.schema import Config, validate
from study.schema.task import TASKS
from study.tasks import Batch, Batches, Split, Task
from study.tasks.batches import Fresh
from study.tracking import provenance
from tests import samples

SPLITS: tuple[Split, ...] = ("train", "val", "test")
NAMES = sorted(path.stem for path in Path(CONF, "task").glob("*.yaml"))


OVERRIDES: dict[str, list[str]] = {name: ["task.sequences=200", "task.held_out=70"] for name in (
    "forecasting_adding", "language_copying", "labelling_temporal_order", "labelling_parity",
)}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Samples in the cache of downloads and in the user's hands."""
    OVERRIDES.update(samples.own(tmp_path_factory.mktemp("own")))
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_STUDY_CACHE", str(cache))
        for module, name, value in samples.fill(cache):
            patch.setattr(module, name, value)
        yield


@cache
def configured(name: str) -> Config:
    """The checked configuration that `task=<name>` composes."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return validate(compose("train", [f"task={name}", *OVERRIDES.get(name, [])]))


@cache
def built(name: str, seed: int = 0) -> Task:
    """The task as `conf/task/<name>.yaml` states it."""
    config = configured(name)
    return tasks.build(config.task, config.data, seed)


def sequences(batch: Batch) -> list[bytes]:
    """A fingerprint of every sequence of a batch, padding left out."""
    return [
        batch.inputs[:length, i].numpy().tobytes() + batch.targets[:length, i].numpy().tobytes()
        for i, length in enumerate(batch.lengths.tolist())
    ]


def some(batches: Batches, most: int = 50) -> list[Batch]:
    """The first batches of epoch 0."""
    return [batch for batch, _ in zip(batches.epoch(0), range(most), strict=False)]


def oracle(batch: Batch, task: Task) -> torch.Tensor:
    """The predictions of one who knows the targets."""
    return batch.targets if batch.targets.is_floating_point() else one_hot(batch.targets, task.targets).float()


def equal(left: Batch, right: Batch) -> bool:
    """Whether two batches hold the same bits."""
    pairs = zip(left, right, strict=True)
    return all((a is None and b is None) or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def test_every_registered_task_has_a_config_of_its_name_and_no_other_has() -> None:
    assert sorted(TASKS) == NAMES


every_task = pytest.mark.parametrize("name", NAMES)
every_split = pytest.mark.parametrize("split", SPLITS)


@every_task
def test_its_config_names_it_and_its_family_and_a_loss_that_fits(name: str) -> None:
    config = configured(name)
    task = built(name)
    assert config.task.name == name
    assert name.startswith(config.task.family)
    assert losses.build(config.loss).outputs(task.targets) >= 1


@every_task
@every_split
def test_batches_are_time_major_and_hold_what_the_task_declares(name: str, split: Split) -> None:
    task = built(name)
    for batch in some(task.batches(split)):
        assert batch.inputs.shape[:2] == batch.targets.shape[:2]
        if task.inputs.tokens:
            assert batch.inputs.dtype == torch.int64
            assert batch.inputs.min() >= 0
            assert batch.inputs.max() < task.inputs.size
        else:
            assert batch.inputs.shape[2:] == (task.inputs.size,)
            assert batch.inputs.dtype == torch.float32
            assert batch.inputs.isfinite().all()
        if configured(name).task.kind == "regression":
            assert batch.targets.shape[2:] == (task.targets,)
            assert batch.targets.isfinite().all()
        else:
            assert batch.targets.ndim == 2
            assert batch.targets.min() >= 0
            assert batch.targets.max() < task.targets


@every_task
def test_training_batches_are_no_wider_than_the_batch_size(name: str) -> None:
    size = configured(name).task.batch_size
    widths = [batch.targets.shape[1] for batch in built(name).batches("train").epoch(0)]
    assert max(widths) == size


@every_task
@every_split
def test_every_sequence_has_a_step_that_counts_and_nothing_but_zeros_after_its_last(name: str, split: Split) -> None:
    for batch in some(built(name).batches(split)):
        assert (batch.lengths > 0).all()
        padding = torch.arange(len(batch.targets))[:, None] >= batch.lengths
        assert (batch.targets[padding] == 0).all()
        assert (batch.inputs[padding] == 0).all()


@every_task
@every_split
def test_the_steps_that_count_are_told_in_four_ways_that_agree(name: str, split: Split) -> None:
    for batch in some(built(name).batches(split), 5):
        mask = torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
        counting = [t for t in range(len(mask)) if mask[t].any()]
        assert batch.steps == mask.sum()
        assert batch.counting.tolist() == counting
        assert batch.longest == counting[-1] + 1 == batch.lengths.max()
        assert batch.lengths.tolist() == [int(column.nonzero().max()) + 1 for column in mask.T]


@every_task
@every_split
def test_an_epoch_holds_as_many_batches_as_it_says(name: str, split: Split) -> None:
    batches = built(name).batches(split)
    for epoch in (0, 3):
        assert sum(1 for _ in batches.epoch(epoch)) == len(batches) == len(batches.keys(epoch))


@every_task
@every_split
def test_an_epoch_depends_on_its_number_alone(name: str, split: Split) -> None:
    batches = built(name).batches(split)
    first = some(batches, 5)
    torch.manual_seed(1)
    for _ in batches.epoch(1):
        break
    config = configured(name)
    again = some(tasks.build(config.task, config.data, 0).batches(split), 5)
    assert all(equal(*pair) for pair in zip(first, again, strict=True))


@every_task
@every_split
def test_an_epoch_from_any_batch_on_is_the_tail_of_the_whole_epoch(name: str, split: Split) -> None:
    batches = built(name).batches(split)
    start = len(batches) * 2 // 3
    whole, tail = list(batches.epoch(2)), list(batches.epoch(2, start))
    assert len(tail) == len(whole) - start
    assert all(equal(*pair) for pair in zip(whole[start:], tail, strict=True))


@every_task
@every_split
def test_every_epoch_holds_the_same_sequences_each_as_often_or_fresh_ones(name: str, split: Split) -> None:
    batches = built(name).batches(split)
    zeroth, later = (Counter(s for batch in batches.epoch(e) for s in sequences(batch)) for e in (0, 5))
    if isinstance(batches, Fresh) and not batches.fixed:
        assert len(zeroth.keys() & later.keys()) < 0.05 * batches.size  # a few alike by chance
        assert zeroth.total() == later.total() == batches.size
    else:
        assert zeroth == later
        assert batches.size == (sum(b.steps for b in batches.epoch(0)) if batches.stateful else zeroth.total())


@every_task
def test_only_training_is_shuffled_and_by_the_seed(name: str) -> None:
    zero, one = built(name), built(name, 1)
    for split in ("val", "test"):
        assert all(equal(*pair) for pair in zip(some(zero.batches(split)), some(one.batches(split)), strict=True))
    batches = zero.batches("train")
    if not batches.stateful:
        assert not equal(next(batches.epoch(0)), next(batches.epoch(1)))
        assert not equal(next(batches.epoch(0)), next(one.batches("train").epoch(0)))


@every_task
@every_split
def test_a_carried_stream_goes_on_where_the_batch_before_and_the_column_before_ended(name: str, split: Split) -> None:
    batches = built(name).batches(split)
    assert batches.stateful == (configured(name).task.family == "language" and not isinstance(batches, Fresh))
    if not batches.stateful:
        return
    parts = list(batches.epoch(0))
    inputs = torch.cat([batch.inputs for batch in parts])
    targets = torch.cat([batch.targets for batch in parts])
    assert torch.equal(targets[:-1], inputs[1:])
    assert torch.equal(targets[-1, :-1], inputs[0, 1:])


@every_task
def test_splits_are_different_data(name: str) -> None:
    assert len({digest for digest, _ in provenance.splits(built(name)).values()}) == 3


@every_task
def test_the_same_config_gives_the_same_tensors(name: str) -> None:
    config = configured(name)
    again = tasks.build(config.task, config.data, 0)
    assert provenance.splits(built(name)) == provenance.splits(again)


@every_task
def test_the_digest_tells_of_the_data_not_of_the_order_a_seed_puts_them_in(name: str) -> None:
    zero, one = (provenance.splits(built(name, seed)) for seed in (0, 1))
    drawn = isinstance(built(name).batches("train"), Fresh)
    assert (zero["train"] == one["train"]) != drawn
    assert (zero["val"], zero["test"]) == (one["val"], one["test"])


@every_task
def test_it_says_where_its_data_are_from(name: str) -> None:
    assert built(name).source


@every_task
@every_split
def test_the_naive_baseline_is_finite_and_an_oracle_beats_it(name: str, split: Split) -> None:
    task = built(name)
    knowing, naive = task.metrics(), task.metrics()
    for batch in some(task.batches(split), 20):
        knowing.update(oracle(batch, task), batch)
        naive.update(task.naive(batch), batch)
    best, baseline = knowing.compute(), naive.compute()
    assert all(torch.tensor(list(baseline.values())).isfinite())
    assert best.keys() == baseline.keys()
    better = best[task.primary] < baseline[task.primary]
    assert better if task.direction == "minimize" else best[task.primary] > baseline[task.primary]


@every_task
def test_naive_predictions_have_the_shape_of_a_networks_and_are_probabilities_of_classes(name: str) -> None:
    task = built(name)
    batch = next(task.batches("val").epoch(0))
    naive = task.naive(batch)
    assert naive.shape == (*batch.targets.shape[:2], task.targets)
    if configured(name).task.kind != "regression":
        torch.testing.assert_close(naive.sum(-1), torch.ones(naive.shape[:2]))
        assert (naive >= 0).all()


@every_task
def test_measures_do_not_see_steps_that_do_not_count(name: str) -> None:
    task = built(name)
    batch = next(task.batches("val").epoch(0))
    mask = torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask.clone()
    mask[::3] = False
    clean, dirty = task.metrics(), task.metrics()
    predictions = task.naive(batch)
    clean.update(predictions, batch._replace(mask=mask))
    scrambled = torch.where(mask.unsqueeze(-1), predictions, predictions.roll(1, -1) * 0.5 + 0.1)
    wrong = batch.targets.roll(1, 0)
    targets = torch.where(mask if wrong.ndim == 2 else mask.unsqueeze(-1), batch.targets, wrong)
    dirty.update(scrambled, Batch(batch.inputs, targets, mask))
    assert clean.compute() == dirty.compute()


@every_task
def test_measures_of_many_batches_are_those_of_one(name: str) -> None:
    task = built(name)
    batch = next(task.batches("val").epoch(0))
    whole, parts = task.metrics(), task.metrics()
    whole.update(task.naive(batch), batch)
    for first in range(0, batch.targets.shape[1], 2):
        two = slice(first, first + 2)
        mask = None if batch.mask is None else batch.mask[:, two]
        part = Batch(batch.inputs[:, two], batch.targets[:, two], mask)
        parts.update(task.naive(part), part)
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-4)
