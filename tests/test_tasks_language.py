"""Claims about language tasks: vocabularies of the training part, splits that lose nothing, the copying problem."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from study import tasks
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.language import LanguageBibleConfig, LanguageTextConfig
from study.tasks import SPLITS, Split, Task
from study.tasks.language.copying import Copying

DATA = DataConfig(carriers=None, cache=None)
PLACES: dict[str, Any] = {"validation_path": None, "test_path": None, "validation": 0.2, "test": 0.2}
SHAPE: dict[str, Any] = {"level": "char", "min_count": 1, "seq_len": 4, "batch_size": 1, "horizon": 2}


def own(folder: Path, *texts: str, **changes: Any) -> Task:
    """The task of one text, or of three."""
    paths = {}
    for key, content in zip(("path", "validation_path", "test_path"), texts, strict=False):
        (folder / key).write_text(content, encoding="utf-8")
        paths[key] = str(folder / key)
    config = LanguageTextConfig(**(PLACES | SHAPE | paths | changes), name="language_text")
    return tasks.build(config, DATA, 0)


def read(task: Task, split: Split) -> list[int]:
    """All tokens of a split that is read in one column, in their order."""
    parts = list(task.batches(split).epoch(0))
    return [*torch.cat([batch.inputs for batch in parts])[:, 0].tolist(), int(parts[-1].targets[-1, 0])]


def test_one_text_is_split_in_its_order_and_nothing_is_lost(tmp_path: Path) -> None:
    task = own(tmp_path, "abcdefghij" * 10)
    assert [len(read(task, split)) for split in SPLITS] == [60, 20, 20]
    assert [token for split in SPLITS for token in read(task, split)] == list(range(1, 11)) * 10


def test_characters_are_numbered_by_training_and_others_are_unknown(tmp_path: Path) -> None:
    task = own(tmp_path, "bcbcbd" * 10 + "abcé" * 5 + "dd𝄞d" * 5)
    assert task.inputs.size == task.targets == 4
    assert read(task, "train")[:6] == [1, 2, 1, 2, 1, 3]
    assert read(task, "val")[:4] == [0, 1, 2, 0]
    assert read(task, "test")[:4] == [3, 3, 0, 3]


def test_rare_words_are_unknown_and_line_ends_are_words(tmp_path: Path) -> None:
    train = "the cat\nthe  dog\tthe <unk>\n" * 3 + "once"
    task = own(tmp_path, train, "the mouse\ncat " * 2, "dog once the " * 2, level="word", min_count=2)
    assert task.inputs.size == 5  # <unk>, the, cat, <eos>, dog
    assert read(task, "train") == [1, 2, 3, 1, 4, 1, 0, 3] * 3 + [0]
    assert read(task, "val") == [1, 0, 3, 2] * 2
    assert read(task, "test") == [4, 0, 1] * 2


def test_the_training_part_and_its_vocabulary_do_not_depend_on_later_text(tmp_path: Path) -> None:
    left, right = own(tmp_path, "abcde" * 20), own(tmp_path, "abcde" * 12 + "vwxyz" * 8)
    assert left.inputs == right.inputs
    assert read(left, "train") == read(right, "train")


@pytest.mark.parametrize("different", [200, 400])
def test_characters_take_a_byte_each_where_that_is_enough(different: int, tmp_path: Path) -> None:
    task = own(tmp_path, "".join(map(chr, range(500, 500 + different))) * 2, "abcdefgh", "abcdefgh")
    columns = next(iter(task.batches("train").tensors()))
    assert columns.element_size() == (1 if different < 256 else 4)


def test_the_baseline_of_an_alternating_text_is_certain(tmp_path: Path) -> None:
    assert own(tmp_path, "ab" * 500).baseline_metrics("test")["nats"] < 0.02


def test_word_and_character_levels_of_the_bible_are_the_same_text() -> None:
    values: dict[str, Any] = {
        "seq_len": 20,
        "batch_size": 1,
        "horizon": 5,
        "validation": 0.4,
        "test": 0.5,
        "min_count": 1,
    }
    char, word = (
        tasks.build(LanguageBibleConfig(**(values | {"level": level, "name": f"language_bible_{level}"})), DATA, 0)
        for level in ("char", "word")
    )
    assert char.batches("train").size + char.batches("val").size + char.batches("test").size > 4_000_000
    assert 900_000 < sum(word.batches(split).size for split in SPLITS) < 1_000_000
    assert word.inputs.size > 20 * char.inputs.size


@pytest.mark.parametrize(
    ("texts", "changes", "complaint"),
    [
        (("a",), {}, "task.seq_len = 4: the train part has 0 tokens"),
        (("abcdefghij",), {"seq_len": 6}, "the train part has 6 tokens, 5 a column"),
        (("abcdefghij" * 4,), {"batch_size": 9}, "task.batch_size = 9, .*the train part"),
        (("abcdefghij" * 5,), {"batch_size": 4, "test": 0.02}, "the test part has 1 tokens, 0 a column"),
        (("one line of words",), {"level": "word"}, "the train part has 2 tokens"),
        (("abc" * 20, "", "abc"), {}, "validation_path: the file is empty"),
    ],
)
def test_texts_that_are_too_short_are_refused(
    texts: tuple[str, ...], changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        own(tmp_path, *texts, **changes)


@pytest.mark.parametrize(("level", "other"), [("char", "word"), ("word", "char")])
def test_a_published_text_has_a_task_for_each_level(level: str, other: str) -> None:
    values = SHAPE | {"validation": 0.1, "test": 0.1, "level": other, "name": f"language_bible_{level}"}
    with pytest.raises(ValueError, match=f"task=language_bible_{other}"):
        LanguageBibleConfig(**values)


def test_a_stream_holds_its_text_once(tmp_path: Path) -> None:
    task = own(tmp_path, "abcde" * 2000)
    kept = {t.untyped_storage().data_ptr() for t in task.batches("train").tensors()}
    assert len(kept) == 1
    assert kept == {t.untyped_storage().data_ptr() for t in task.batches("train").tensors()}


def test_two_files_are_neither_one_nor_three(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give both, or neither"):
        own(tmp_path, "abc", "abc")


def copying(**changes: int) -> Copying:
    values = {"letters": 8, "shortest": 10, "longest": 10, "delay": 30} | changes
    shape = {"batch_size": 500, "horizon": 5, "sequences": 500, "held_out": 500}
    task = tasks.build(tasks.configure("language_copying", **values, **shape), DATA, 0)
    assert isinstance(task, Copying)
    return task


@pytest.mark.parametrize(("letters", "shortest", "longest", "delay"), [(8, 10, 10, 30), (4, 2, 5, 1), (8, 5, 10, 20)])
def test_copied_symbols_are_asked_for_memory_plus_delay_steps_after_they_came(
    letters: int, shortest: int, longest: int, delay: int
) -> None:
    batch = next(copying(letters=letters, shortest=shortest, longest=longest, delay=delay).batches("train").epoch(0))
    kept = (batch.lengths - delay) // 2
    assert set(kept.tolist()) == set(range(shortest, longest + 1))
    for i, m in enumerate(kept.tolist()):
        inputs, targets = batch.inputs[: delay + 2 * m, i].tolist(), batch.targets[: delay + 2 * m, i].tolist()
        symbols = inputs[:m]
        assert all(1 <= symbol <= letters for symbol in symbols)
        assert inputs[m:] == [0] * (delay - 1) + [letters + 1] + [0] * m
        assert targets == [0] * (m + delay) + symbols
    found = batch.inputs[:shortest].unique().tolist()
    assert found == list(range(1, letters + 1))


@pytest.mark.parametrize(("delay", "published"), [(100, 0.1733), (200, 0.0945), (300, 0.0650), (500, 0.0400)])
def test_the_copying_baseline_is_the_published_one(delay: int, published: float) -> None:
    nats = copying(delay=delay).baseline_metrics("test")["nats"]
    assert nats == pytest.approx(10 * math.log(8) / (delay + 20), rel=1e-4)
    assert nats == pytest.approx(published, abs=5e-5)


def test_the_baseline_of_variable_copying_is_its_general_form() -> None:
    task = copying(shortest=5, longest=10)
    kept = np.concatenate([(batch.lengths - 30).numpy() // 2 for batch in task.batches("test").epoch(0)])
    expected = kept.sum() * math.log(8) / (30 + 2 * kept).sum()
    assert task.baseline_metrics("test")["nats"] == pytest.approx(expected, rel=1e-4)
