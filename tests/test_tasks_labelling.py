"""Claims about labelling tasks: corpora as they are, vocabularies of the training part, entities, synthetic ones."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from study import opponents, tasks
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.labelling import (
    LabellingCoNLLConfig,
    LabellingHironsanConfig,
)
from study.tasks import SPLITS, Batch, Split, Task
from study.tasks.labelling.columns import Corpus, read_columns, read_conllu
from study.tasks.labelling.entities import EntityMetrics, are_entities, as_iob2, entities, hyphened, misfit
from study.tasks.labelling.hironsan import load_hironsan
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
        ("# id 1\na\tX\n\n#b\n", {}, r"path, line 4: 1 columns"),
        ("word of x\na b\nc d\n", {}, "line 1: 3 columns, the other lines have 2"),
        ("#EU\na X\nb Y\n", {}, "line 1: 1 columns, the other lines have 2"),
        ("a X\n# a comment\nb Y\n", {}, "line 2: 3 columns, the lines before have 2"),
        ("# This is data\na _ _ X\n", {"label_column": 4}, "line 1: '# This is data' may be a comment, or a word"),
        ("a _ _ X\n# id 1 x\nb _ _ Y\n", {"label_column": 4}, "line 2: '# id 1 x' may be a comment, or a word"),
        ("# id 1 X\na _ _ X\n", {"label_column": 4}, "line 1: '# id 1 X' may be a comment, or a word"),
        ("# 1\na X\n\n# 2\nb Y\n", {}, "line 1: '# 1' may be a comment, or a word"),
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


# Labels that training never shows.


def test_a_label_that_training_never_shows_is_an_error_in_test_and_none_in_the_loss(tmp_path: Path) -> None:
    train, test = "a\tX\n\nb\tY\n\n" * 2, "a\tX\nc\tZ\nb\tY\n\n"
    task = own(tmp_path, train, "a\tX\nb\tY\n\n", test)
    assert task.targets == 2
    (note,) = task.notes
    assert "The test part has labels that the training part never shows ('Z' 1 times): these 1 of 3 words" in note
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


def test_an_entity_of_an_unseen_kind_is_one_that_was_missed() -> None:
    metrics = EntityMetrics(["B-x", "I-x", "O"], ["B-y"])
    true = torch.tensor([[0], [2], [3]])
    metrics.update(torch.eye(3)[torch.tensor([[0], [2], [2]])], Batch(true, true))
    assert metrics.compute()["entity_f1"] == pytest.approx(2 * 1 / (2 + 1))


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


# Schemes of entities.

SENTENCES = {
    "IOB1": "I-x I-x B-x O I-y O",
    "IOB2": "B-x I-x B-x O B-y O",
    "IOE1": "I-x E-x I-x O I-y O",
    "IOE2": "I-x E-x E-x O E-y O",
    "BIOES": "B-x E-x S-x O S-y O",
    "BILOU": "B-x L-x U-x O U-y O",
    "BMES": "B-x E-x S-x O S-y O",
    "BMEWO": "B-x E-x W-x O W-y O",
}


@pytest.mark.parametrize("scheme", SENTENCES)
def test_the_same_entities_are_read_from_every_scheme(scheme: str) -> None:
    row = SENTENCES[scheme].split()
    assert are_entities(row)
    assert [*entities(row)] == [(0, 1, "x"), (2, 2, "x"), (4, 4, "y")]
    assert as_iob2(row) == SENTENCES["IOB2"].split()


def test_badly_formed_rows_mean_what_conlleval_makes_of_them() -> None:
    for row, expected in {
        "I-x I-y": [(0, 0, "x"), (1, 1, "y")],
        "E-x E-x": [(0, 0, "x"), (1, 1, "x")],
        "B-x B-x": [(0, 0, "x"), (1, 1, "x")],
        "S-x I-x": [(0, 0, "x"), (1, 1, "x")],
        "B-x E-y": [(0, 0, "x"), (1, 1, "y")],
        "O E-x I-x": [(1, 1, "x"), (2, 2, "x")],
        "O O": [],
    }.items():
        assert [*entities(row.split())] == expected, row


def test_entities_in_iob_are_those_of_a_slow_reader_of_spans() -> None:
    for row in product(LABELS, repeat=4):
        assert {*entities(row)} == spans(list(row))


def test_labels_of_no_scheme_that_look_like_entities_are_scored_as_labels_and_that_is_said(tmp_path: Path) -> None:
    mixed = "a\tB-x\nb\tI-x\nc\tU-x\nd\tE-x\ne\tO\n\n" * 5
    task = own(tmp_path, mixed)
    assert task.primary == "accuracy"
    assert "The labels look like entities, but fit no scheme" in task.notes[0]
    assert own(tmp_path, "a\tB-x\nb\tL-x\nc\tU-x\ne\tO\n\n" * 5).primary == "entity_f1"
    assert not own(tmp_path, "a\tNOUN\nb\tVERB\n\n" * 5).notes


FORMS = {
    "B_x I_x O B_y": "B-x I-x O B-y",
    "x-B x-I O y-B": "B-x I-x O B-y",
    "x-y_B x-y_E O S_S": "B-x-y E-x-y O S-S",
    "B I O B": "B-entity I-entity O B-entity",
    "B M E S O": "B-entity M-entity E-entity S-entity O",
    "B-I I-B O": "B-I I-B O",
}


@pytest.mark.parametrize("form", FORMS)
def test_letter_and_kind_may_stand_in_other_order_or_between_other_marks(form: str) -> None:
    said = hyphened(form.split())
    assert [said[label] for label in form.split()] == FORMS[form].split()


@pytest.mark.parametrize("form", ["B_x I_x E_x S_x O", "x-B x-I x-E x-S O", "B M E S O", "B-x I-x L-x U-x O"])
def test_entity_f1_does_not_depend_on_how_the_labels_are_written(form: str) -> None:
    draws = torch.Generator().manual_seed(0)
    true, guessed = torch.randint(5, (2, 7, 40), generator=draws)
    guessed = torch.where(torch.rand(7, 40, generator=draws) < 0.7, true, guessed)
    found = []
    for labels in (form.split(), ["B-x", "I-x", "E-x", "S-x", "O"]):
        measures = EntityMetrics(labels)
        measures.update(torch.nn.functional.one_hot(guessed, 5).float(), Batch(true, true))
        found.append(measures.compute()["entity_f1"])
    assert found[0] == found[1] > 0


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ("b-x i-x o", "there is no O"),
        ("B-x I-x", "there is no O"),
        ("B:x I:x O", "B:x, I:x do not fit one of them"),
        ("B-x I_x O", "B-x, I_x do not fit one of them"),
        ("B-x I-x MISC O", "MISC fits none"),
        ("B-x I-x E-x L-x O", "B-x, E-x, I-x, L-x do not fit one of them"),
    ],
)
def test_why_labels_that_look_like_entities_are_none_is_said(labels: str, why: str) -> None:
    assert misfit(labels.split()) == why
    assert not are_entities(labels.split())


@pytest.mark.parametrize("labels", ["ADJ NOUN PUNCT", "O X", "B-x I-x O", "NN NNS VB IN CD -LRB- PRP$", "S-x P-x"])
def test_other_labels_are_passed_over_in_silence(labels: str) -> None:
    assert misfit(labels.split()) == ""


def test_the_scheme_is_that_of_all_parts_together(tmp_path: Path) -> None:
    plain, late = "a\tB-x\nb\tI-x\ne\tO\n\n", "a\tS-x\ne\tO\n\n"
    assert own(tmp_path, plain, plain, late).primary == "entity_f1"
    assert own(tmp_path, plain, plain, "a\tQ-x\ne\tO\n\n").primary == "accuracy"


# Comments.


@pytest.mark.parametrize(
    "content",
    [
        "# id 123 domain=en\nlos _ _ B-x\nangeles _ _ I-x\n\n# id 124 domain=en\n# more\nx _ _ O\n",
        "# id 123\tdomain=en\nlos _ _ B-x\nangeles _ _ I-x\n\n#\tid\nx _ _ O\n",
        "# sent_id = 1\n# text = los angeles\nlos _ _ B-x\nangeles _ _ I-x\n\nx _ _ O\n",
    ],
)
def test_comments_before_sentences_of_columns_are_no_words(content: str, tmp_path: Path) -> None:
    corpus = read_columns(written(tmp_path / "own", content), word=1, label=4)
    assert corpus == Corpus(["los", "angeles", "x"], ["B-x", "I-x", "O"], [2, 1])


def test_the_word_hash_is_a_word_wherever_it_stands(tmp_path: Path) -> None:
    corpus = read_columns(written(tmp_path / "own", "# O\na B-x\n# O\n\n#b O\n"), word=1, label=2)
    assert corpus == Corpus(["#", "a", "#", "#b"], ["O", "B-x", "O", "O"], [3, 1])


@pytest.mark.parametrize(
    "content",
    ["# SYM\na X\n\n#1 X\nb Y\n", "#\tSYM\na\tX\n\n#1\tX\nb\tY\n", "# SYM\na X\n\n# newdoc\n# sent_id=2\n#1 X\nb Y\n"],
)
def test_a_word_that_begins_with_a_hash_stays_one_though_no_other_has_its_label(content: str, tmp_path: Path) -> None:
    corpus = read_columns(written(tmp_path / "own", content), word=1, label=2)
    assert corpus == Corpus(["#", "a", "#1", "b"], ["SYM", "X", "X", "Y"], [2, 2])


def test_a_hash_with_the_columns_of_other_words_is_a_word(tmp_path: Path) -> None:
    corpus = read_columns(written(tmp_path / "own", "# _ _ SYM\na _ _ X\n"), word=1, label=4)
    assert corpus == Corpus(["#", "a"], ["SYM", "X"], [2])


@pytest.mark.parametrize("mark", ["-DOCSTART-", "-DOCSTART- O", "-DOCSTART- -X- O O", "-DOCSTART- (1 of 2)"])
def test_a_document_mark_may_have_any_columns_and_ends_a_sentence(mark: str, tmp_path: Path) -> None:
    corpus = read_columns(written(tmp_path / "own", f"{mark}\n\na X\nb Y\n{mark}\nc X\n"), word=1, label=2)
    assert corpus == Corpus(["a", "b", "c"], ["X", "Y", "X"], [2, 1])
