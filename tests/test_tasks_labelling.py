"""Claims about labelling tasks: corpora as they are, vocabularies of the training part, entities, synthetic ones."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from study import tasks
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.labelling import (
    LabellingCoNLLConfig,
    LabellingHironsanConfig,
)
from study.tasks import SPLITS, Batch, Split, Task
from study.tasks.labelling.columns import Corpus, read_columns, read_conllu
from study.tasks.labelling.entities import EntityMetrics, are_entities
from study.tasks.labelling.hironsan import load_hironsan
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


def test_conllu_without_comments_multiword_tokens_and_empty_nodes(tmp_path: Path) -> None:
    content = (
        "# text = vámonos al mar\n1-2\tvámonos\t_\t_\n1\tvamos\t_\tVERB\n2\tnos\t_\tPRON\n2.1\tno\t_\tX\n\n"
        "\n# a second one\n1\t#\t_\tSYM\n"
    )
    corpus = read_conllu(written(tmp_path / "own", content))
    assert corpus == Corpus(["vamos", "nos", "#"], ["VERB", "PRON", "SYM"], [2, 1])


@pytest.mark.parametrize("separator", ["\t", " ", "   "])
def test_columns_between_tabs_or_spaces_without_document_marks(separator: str, tmp_path: Path) -> None:
    rows = [
        ["-DOCSTART-", "-X-", "O"],
        [],
        ["#EU", "NNP", "B-ORG"],
        ["rejects", "VBZ", "O"],
        [],
        ["Peter", "NNP", "B-PER"],
    ]
    content = "\n".join(separator.join(row) for row in rows) + "\n"
    corpus = read_columns(written(tmp_path / "own", content), word=1, label=3)
    assert corpus == Corpus(["#EU", "rejects", "Peter"], ["B-ORG", "O", "B-PER"], [2, 1])


def test_words_between_tabs_may_hold_spaces(tmp_path: Path) -> None:
    assert read_columns(written(tmp_path / "own", "1 000\tNUM\n"), word=1, label=2).words == ["1 000"]


@pytest.mark.parametrize(
    ("content", "changes", "complaint"),
    [
        ("a\tX\nb\tX\tY\n", {}, r"path, line 2: 3 columns, the lines before have 2"),
        ("a\tX\n\nb\n", {}, r"path, line 3: 1 columns"),
        ("a\tX\n", {"label_column": 3}, "there is no column 3, a line has 2"),
        ("a\tX\n", {}, "1 sentences leave nothing"),
        ("a\tX\n\n" * 2, {}, "2 sentences leave nothing"),
        ("# nothing but a comment\n", {"format": "conllu"}, "there is no sentence"),
        ("", {}, "the file is empty"),
        ("a\tX\r\n", {}, "CRLF"),
        (
            "a\tX\n\n" * 9 + "a\tY\nb\tY\nc\tZ\n\n",
            {},
            "the test part has labels .* never shows: 'Y' 2 times, 'Z' 1 times",
        ),
    ],
)
def test_corpora_that_cannot_be_used_are_refused_with_their_line(
    content: str, changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        own(tmp_path, content, **changes)


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


def test_two_spellings_of_a_kind_of_entity_are_made_one() -> None:
    values = SHAPE | {"validation": 0.1, "test": 0.1}
    corpus = load_hironsan(LabellingHironsanConfig(**values, name="labelling_hironsan_ner"), DATA).corpora[0]
    assert len(corpus.lengths) == 500
    assert sum(corpus.lengths) == len(corpus.words) == len(corpus.labels)
    assert {label[2:] for label in corpus.labels} == {"", "ART", "DAT", "LOC", "MON", "ORG", "PER", "TIM"}


@pytest.mark.parametrize(
    ("labels", "entities"), [(["O", "B-x", "I-x"], True), (["NOUN", "X"], False), (["B-x"], False), (["O", "X"], False)]
)
def test_labels_of_entities_are_recognised(labels: list[str], entities: bool) -> None:
    assert are_entities(labels) == entities


LABELS = ["O", "B-x", "I-x", "B-y", "I-y"]


def spans(labels: list[str]) -> set[tuple[int, int, str]]:
    """(first, last, kind) of every entity; an I-x that continues nothing begins one."""
    found, first = set(), None
    for i, label in enumerate([*labels, "O"]):
        goes_on = first is not None and label == f"I-{labels[first][2:]}"
        if first is not None and not goes_on:
            found.add((first, i - 1, labels[first][2:]))
            first = None
        if label != "O" and not goes_on:
            first = i
    return found


def test_entity_f1_counts_whole_entities_as_a_slow_reader_of_spans_does() -> None:
    draws = torch.Generator().manual_seed(0)
    true, guessed = torch.randint(5, (2, 7, 40), generator=draws)
    guessed = torch.where(torch.rand(7, 40, generator=draws) < 0.7, true, guessed)
    lengths = torch.randint(1, 8, (40,), generator=draws)
    mask = torch.arange(7)[:, None] < lengths
    measures = EntityMetrics(LABELS)
    for half in (slice(0, 20), slice(20, 40)):
        predictions = torch.nn.functional.one_hot(guessed[:, half], 5).float()
        measures.update(predictions, Batch(true[:, half], true[:, half], mask[:, half]))
    right = wanted = given = 0
    for i, length in enumerate(lengths.tolist()):
        is_there, is_said = (spans([LABELS[c] for c in classes[:length, i]]) for classes in (true, guessed))
        right, wanted, given = right + len(is_there & is_said), wanted + len(is_there), given + len(is_said)
    assert measures.compute()["entity_f1"] == pytest.approx(2 * right / (wanted + given))


def test_finding_no_entity_scores_zero() -> None:
    measures = EntityMetrics(LABELS)
    measures.update(
        torch.eye(5)[torch.zeros(3, 1, dtype=torch.int64)], Batch(torch.ones(3, 1), torch.tensor([[1], [2], [0]]))
    )
    assert measures.compute()["entity_f1"] == 0


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
