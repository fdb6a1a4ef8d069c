"""Claims about labelling tasks: splits, vocabularies of the training part, labels it never shows, synthetic ones."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from study import opponents, tasks
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingCoNLLConfig
from study.tasks import SPLITS, Batch, Split, Task
from study.tasks.metrics import LabellingMetrics
from tests import samples

DATA = DataConfig(carriers=None, cache=None)
SHAPE: dict[str, Any] = {"batch_size": 3, "horizon": 2, "min_count": 1, "affixes": 0}
PLACES: dict[str, Any] = {"validation_path": None, "test_path": None, "validation": 0.2, "test": 0.2}
COLUMNS: dict[str, Any] = {"format": "columns", "word_column": 1, "label_column": 2}


def written(file: Path, content: str) -> Path:
    file.write_text(content, encoding="utf-8")
    return file


def own(folder: Path, *contents: str, **changes: Any) -> Task:
    """The task of one file of columns, or of three."""
    keys = ("path", "validation_path", "test_path")
    paths = {key: str(written(folder / key, content)) for key, content in zip(keys, contents, strict=False)}
    config = LabellingCoNLLConfig(**(SHAPE | PLACES | COLUMNS | paths | changes), name="labelling_conll")
    return tasks.build(config, DATA, 0)


def tokens(task: Task, split: Split) -> torch.Tensor:
    """All steps of a split, in the order of the corpus."""
    return next(iter(task.batches(split).tensors()))[:-1]


def test_sentences_are_split_in_their_order_and_none_is_lost(tmp_path: Path) -> None:
    task = own(tmp_path, "".join(f"w{i}\tX\n" * (i + 1) + "\n" for i in range(10)))
    lengths = [list(task.batches(split).tensors())[2].tolist() for split in SPLITS]
    assert lengths == [[1, 2, 3, 4, 5, 6], [7, 8], [9, 10]]


def test_words_are_numbered_by_training_whatever_their_case_and_rare_or_new_ones_are_unknown(tmp_path: Path) -> None:
    train, later = "The\tX\ncat\tX\nthe\tX\nonce\tX\nCat\tX\n", "cat\tX\nmouse\tX\nTHE\tX\nonce\tX\n"
    task = own(tmp_path, train, later, later, min_count=2)
    assert task.inputs.size == 3
    assert tokens(task, "train").tolist() == [1, 2, 1, 0, 2]
    assert tokens(task, "val").tolist() == [2, 0, 1, 0]


def test_affixes_are_the_first_and_last_characters_as_written_each_with_numbers_of_its_own(tmp_path: Path) -> None:
    train, later = "Bad\tX\nbed\tX\nbad\tX\n", "bud\tX\nBe\tX\na\tX\n"
    task = own(tmp_path, train, later, later, affixes=2)
    kinds: list[dict[str, int]] = []
    offset = 0
    for values in (("bad", "bed"), ("B", "b"), ("Ba", "be", "ba"), ("d",), ("ad", "ed")):
        kinds.append({value: offset + i for i, value in enumerate(values, 1)} | {"": offset})
        offset += len(values) + 1

    def step(word: str) -> list[int]:
        parts = (word.lower(), word[:1], word[:2], word[-1:], word[-2:])
        return [kind.get(part, kind[""]) for kind, part in zip(kinds, parts, strict=True)]

    assert task.inputs.size == offset
    assert tokens(task, "train").tolist() == [step(word) for word in ("Bad", "bed", "bad")]
    assert tokens(task, "val").tolist() == [step(word) for word in ("bud", "Be", "a")]


def test_the_baseline_sees_the_word_without_its_affixes(tmp_path: Path) -> None:
    plain, affixed = (own(tmp_path, samples.entities(100), affixes=n) for n in (0, 2))
    assert plain.baseline_metrics("test") == pytest.approx(affixed.baseline_metrics("test"))


def test_the_training_part_does_not_depend_on_later_sentences(tmp_path: Path) -> None:
    sentences = [f"w{i % 7}\tX\n\n" for i in range(20)]
    left = own(tmp_path, "".join(sentences))
    right = own(tmp_path, "".join(sentences[:12] + ["new\tX\n\n"] * 8))
    assert left.inputs == right.inputs
    assert torch.equal(tokens(left, "train"), tokens(right, "train"))


@pytest.mark.parametrize(("markers", "starts"), [(2, (10, 50)), (3, (10, 33, 66))])
def test_temporal_order_has_its_markers_where_published_and_its_class_is_their_order(
    markers: int, starts: tuple[int, ...]
) -> None:
    values: dict[str, Any] = {
        "markers": markers,
        "seq_len": 100,
        "sequences": 3000,
        "held_out": 3000,
        "batch_size": 3000,
        "horizon": 90,
    }
    task = tasks.build(tasks.configure("labelling_temporal_order", **values), DATA, 0)
    batch = next(task.batches("train").epoch(0))
    assert batch.mask is not None
    assert batch.mask.nonzero()[:, 0].unique().tolist() == [99]
    places = (batch.inputs < 2).T.nonzero()[:, 1].view(-1, markers)
    for column, start in enumerate(starts):
        assert set(places[:, column].tolist()) == set(range(start, start + 10))
    orders = batch.inputs.T.gather(1, places)
    classes: dict[tuple[int, ...], set[int]] = {tuple(order): set() for order in product((0, 1), repeat=markers)}
    for order, target in zip(orders.tolist(), batch.targets[-1].tolist(), strict=True):
        classes[tuple(order)].add(target)
    assert sorted(map(list, classes.values())) == [[c] for c in range(2**markers)]
    assert batch.inputs.unique().tolist() == list(range(6))
    assert task.baseline_metrics("test")["accuracy"] == pytest.approx(1 / 2**markers, abs=0.03)


def test_parity_is_that_of_the_ones_so_far() -> None:
    values = {"seq_len": 30, "sequences": 64, "held_out": 64, "batch_size": 64, "horizon": 5}
    task = tasks.build(tasks.configure("labelling_parity", **values), DATA, 0)
    batch = next(task.batches("train").epoch(0))
    for i in range(64):
        odd = 0
        for t in range(30):
            odd ^= int(batch.inputs[t, i])
            assert batch.targets[t, i] == odd


# Labels that training never shows.


def test_a_label_that_training_never_shows_is_an_error_in_test_and_none_in_the_loss(tmp_path: Path) -> None:
    train, test = "a\tX\n\nb\tY\n\n" * 2, "a\tX\nc\tZ\nb\tY\n\n"
    task = own(tmp_path, train, "a\tX\nb\tY\n\n", test)
    assert task.targets == 2
    note, unknown = task.notes
    assert "The test part has labels that the training part never shows ('Z' 1 times): these 1 of 3 words" in note
    assert unknown.startswith("Unknown words")
    assert task.tags == {"unknown/val": "0.0000", "unknown/test": "0.3333"}
    (batch,) = task.batches("test").epoch(0)
    right = torch.zeros(3, 1, 2)
    right[batch.targets[:, 0] == 0, 0, 0] = right[batch.targets[:, 0] == 1, 0, 1] = 1.0
    right[batch.targets[:, 0] == 2, 0, 0] = 1.0
    metrics = task.metrics()
    metrics.update(right, batch)
    found = metrics.compute()
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["nats"] == 0  # over the two words whose label can be named
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    nameable = metrics.nameable(batch)
    assert nameable.steps == 2
    assert int(nameable.targets.max()) < 2


def test_without_such_labels_measures_are_those_of_the_known_classes() -> None:
    classes = torch.randint(3, (20, 4), generator=torch.Generator().manual_seed(0))
    batch = Batch(classes, classes)
    guesses = torch.rand(20, 4, 3, generator=torch.Generator().manual_seed(1)).softmax(-1)
    one, other = LabellingMetrics(3), LabellingMetrics(3, unseen=2)
    for metrics in (one, other):
        metrics.update(guesses, batch)
    assert one.compute() == other.compute()
    assert one.nameable(batch) is batch


@pytest.mark.parametrize("split", ["validation", "test"])
def test_opponents_count_a_label_that_training_never_shows_as_an_error_too(split: str, tmp_path: Path) -> None:
    train, plain, other = "a\tX\n\nb\tY\n\n" * 4, "a\tX\nb\tY\n\n", "a\tX\na\tX\nc\tZ\nb\tY\n\n"
    parts = (plain, other) if split == "test" else (other, plain)
    task = own(tmp_path, train, *parts)
    scores = opponents.scores(task, task._config, "", None)  # type: ignore[attr-defined]
    assert set(scores) == {"word_tag", "perceptron"}
    for score in scores.values():
        found = score.metrics["test" if split == "test" else "val"]
        assert found["accuracy"] == pytest.approx(3 / 4)
        assert found["nats"] < 0.2  # of the words whose label can be named


@pytest.mark.parametrize("parts", [("c\tZ\n", "a\tX\n"), ("a\tX\n", "a\tZ\nb\tV\n")])
def test_a_part_without_any_label_of_training_is_refused(parts: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"part has no label of the training part, but .*Z"):
        own(tmp_path, "a\tX\n\nb\tY\n\n" * 2, *parts)
