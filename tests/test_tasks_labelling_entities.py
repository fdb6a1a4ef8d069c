"""Claims about named entities: schemes of labels, spans, entity F1."""

from itertools import product
from pathlib import Path

import pytest
import torch

from study.data.corpora.schemes import are_entities, as_iob2, entities, hyphened, misfit
from study.schema.task.labelling import LabellingHironsanConfig
from study.tasks import Batch
from study.tasks.labelling.entities import EntityMetrics
from study.tasks.labelling.hironsan import load_hironsan
from tests.test_tasks_labelling import DATA, SHAPE, own


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


def test_an_entity_of_an_unseen_kind_is_one_that_was_missed() -> None:
    metrics = EntityMetrics(["B-x", "I-x", "O"], ["B-y"])
    true = torch.tensor([[0], [2], [3]])
    metrics.update(torch.eye(3)[torch.tensor([[0], [2], [2]])], Batch(true, true))
    assert metrics.compute()["entity_f1"] == pytest.approx(2 * 1 / (2 + 1))


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
