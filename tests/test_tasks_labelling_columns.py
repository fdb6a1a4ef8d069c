"""Claims about corpora in columns: what is a word, a comment, a sentence, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from study.data.corpora.columns import Corpus, read_columns, read_conllu
from study.errors import ConfigError
from tests.test_tasks_labelling import own, written


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
        ("# id 1\na\tX\n\n#b\n", {}, r"path, line 4: 1 columns"),
        ("word of x\na b\nc d\n", {}, "line 1: 3 columns, the other lines have 2"),
        ("#EU\na X\nb Y\n", {}, "line 1: 1 columns, the other lines have 2"),
        ("a X\n# a comment\nb Y\n", {}, "line 2: 3 columns, the lines before have 2"),
        ("# This is data\na _ _ X\n", {"label_column": 4}, "line 1: '# This is data' may be a comment, or a word"),
        ("a _ _ X\n# id 1 x\nb _ _ Y\n", {"label_column": 4}, "line 2: '# id 1 x' may be a comment, or a word"),
        ("# id 1 X\na _ _ X\n", {"label_column": 4}, "line 1: '# id 1 X' may be a comment, or a word"),
        ("# 1\na X\n\n# 2\nb Y\n", {}, "line 1: '# 1' may be a comment, or a word"),
        ("# news\na X\n\n# sport\nb Y\n", {}, "line 1: '# news' may be a comment, or a word"),
        ("# news\na B-x\nb O\n\n# news\nb O\n", {}, "line 1: '# news' may be a comment, or a word"),
    ],
)
def test_corpora_that_cannot_be_used_are_refused_with_their_line(
    content: str, changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        own(tmp_path, content, **changes)


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
