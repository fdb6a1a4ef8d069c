"""Claims about corpora as they are delivered: what is a word, which scheme it is, what is said and what refused."""

from pathlib import Path

import pytest

from study.data.corpora.columns import Corpus, read_columns, read_conllu, read_tagged
from study.data.corpora.schemes import scheme
from study.errors import ConfigError
from tests.test_tasks_labelling import own, written
from tests.test_tasks_language import own as own_text

PLAIN = Corpus(["New", "York", "sleeps", "EU"], ["B-LOC", "I-LOC", "O", "B-ORG"], [3, 1])
ROWS = "New B-LOC\nYork I-LOC\nsleeps O\n\nEU B-ORG\n"
DELIVERED = {
    "spaces": ROWS,
    "tabs": ROWS.replace(" ", "\t"),
    "a stray tab": ROWS.replace("York ", "York\t"),
    "stray spaces": ROWS.replace("York ", "York  \t ").replace("New ", "New\t"),
    "white space at the end": ROWS.replace("O\n", "O \t\n").replace("C\n", "C  \n"),
    "an empty line that is not empty": ROWS.replace("\n\n", "\n \t\n"),
    "CRLF": ROWS.replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + ROWS,
    "comments": "# newdoc\n# sent_id = 1\n# text = New York sleeps\n" + ROWS,
    "a narrow mark of documents": "-DOCSTART-\n\n" + ROWS,
    "a header line": "token\ttag\n" + ROWS.replace(" ", "\t"),
    "no line end at the end": ROWS.rstrip(),
}


@pytest.mark.parametrize("form", DELIVERED)
def test_the_same_corpus_is_read_however_it_is_delivered(form: str, tmp_path: Path) -> None:
    file = tmp_path / "own"
    file.write_bytes(DELIVERED[form].encode())
    assert read_columns(file, word=1, label=2)._replace(notes=()) == PLAIN


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("a stray tab", "tabs and blanks are mixed"),
        ("a header line", "'token tag', names the columns"),
        ("CRLF", "CRLF"),
    ],
)
def test_what_had_to_be_decided_is_said(form: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own"
    file.write_bytes(DELIVERED[form].encode())
    assert said in " ".join(read_columns(file, word=1, label=2).notes)


def test_conllu_between_blanks_is_read_and_that_is_said(tmp_path: Path) -> None:
    corpus = read_conllu(written(tmp_path / "own", "# text = a b\n1  a _ DET\n2  b _ NOUN\n\n1 c _ X\n"))
    assert corpus[:3] == (["a", "b", "c"], ["DET", "NOUN", "X"], [2, 1])
    assert "there is no tab" in corpus.notes[0]


def test_other_columns_than_those_of_conllu_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format=columns reads other columns"):
        read_conllu(written(tmp_path / "own", ROWS.replace(" ", "\t")))


def test_sentences_of_conllu_without_an_empty_line_between_them_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 3: a word has the number 1 and no empty line before it"):
        read_conllu(written(tmp_path / "own", "1-2\tab\t_\t_\n1\ta\t_\tX\n1\tb\t_\tX\n"))


def test_the_header_of_every_file_put_together_is_left_out(tmp_path: Path) -> None:
    corpus = read_columns(written(tmp_path / "own", f"token tag\n{ROWS}\ntoken tag\n{ROWS}"), word=1, label=2)
    assert corpus.labels == PLAIN.labels * 2
    assert "(1 more like it too)" in corpus.notes[0]


def test_words_without_a_character_are_said_and_labels_without_one_refused(tmp_path: Path) -> None:
    assert (
        "1 words are empty, the first in line 2"
        in read_columns(written(tmp_path / "own", "a\tX\n\tX\n"), 1, 2).notes[0]
    )
    with pytest.raises(ConfigError, match="line 2: its label, column 2, is empty"):
        read_columns(written(tmp_path / "own", "a\tX\t_\nb\t\t_\n"), 1, 2)


def test_words_with_tags_are_split_at_their_last_slash(tmp_path: Path) -> None:
    corpus = read_tagged(written(tmp_path / "own", "\n\tThe/at jury/nn said/vbd\n\n1/2/cd of/in it/ppo ./.\n"))
    assert corpus == Corpus(
        ["The", "jury", "said", "1/2", "of", "it", "."], ["at", "nn", "vbd", "cd", "in", "ppo", "."], [3, 4]
    )
    with pytest.raises(ConfigError, match="line 2: 'bare' is not written as word/tag"):
        read_tagged(written(tmp_path / "own", "a/b c/d\na/b bare\n"))


def test_a_corpus_of_words_with_tags_is_a_task(tmp_path: Path) -> None:
    task = own(tmp_path, "the/DT cat/NN\n" * 10, format="tagged")
    assert task.targets == 2
    assert task.primary == "accuracy"


SCHEMES = {
    "IOB1": ["I-x I-x B-x O I-y"], "IOB2": ["B-x I-x B-x O B-y"], "BIOES": ["B-x E-x S-x O S-y", "B-x I-x E-x"],
    "BILOU": ["B-x L-x U-x O"], "BMES": ["B-x M-x E-x S-x O"], "IOE": ["I-x E-x O"], "": ["DET NOUN VERB"],
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_is_recognised_by_its_letters_and_their_places(name: str) -> None:
    assert scheme([row.split() for row in SCHEMES[name]]) == name


def test_the_scheme_of_an_own_corpus_is_said_once(tmp_path: Path) -> None:
    task = own(tmp_path, ("a\tI-x\nb\tI-x\nc\tB-x\nd\tO\n\n") * 10)
    (note,) = task.notes
    assert "entities written in IOB1" in note
    assert task.primary == "entity_f1"


def test_a_sentence_far_longer_than_the_others_is_warned_of(tmp_path: Path) -> None:
    task = own(tmp_path, "a\tX\n\nb\tX\n\n" * 10 + "a\tX\n" * 1500 + "\n" + "a\tX\n\n" * 10)
    assert "The longest sentence has 1,500 words, half of all have 1 or fewer" in task.notes[0]


# Running text.


def test_the_share_of_unknown_tokens_is_a_tag_and_a_note(tmp_path: Path) -> None:
    task = own_text(tmp_path, "a b c d " * 20, "a b x d " * 5, "a b c d " * 5, level="word")
    assert task.tags == {"unknown/val": "0.2500", "unknown/test": "0.0000"}
    assert task.notes == (
        "Unknown tokens, too rare in the training part, not in it, or written as <unk> (task.min_count): "
        "0.0% of train, 25.0% of val, 0.0% of test.",
    )


@pytest.mark.parametrize(
    ("text", "changes", "complaint"),
    [
        ("aaaa" * 30, {}, "the training part has 1 different tokens"),
        ("abcdefghij" * 5, {"min_count": 100}, "task.min_count = 100: the training part has 0 different tokens"),
        ("word " * 50, {"level": "word"}, "the training part has 1 different tokens"),
        (
            "国家统计局今天发布的数据显示经济增长了很多\n" * 30,
            {"level": "word"},
            "21 characters on average.* task.level=char",
        ),
        ("吾輩は猫である名前は\n" * 30, {"level": "word"}, "10 characters on average"),
        ("ACGTACGTACGTACGTACGTACGT\n" * 30, {"level": "word"}, "24 characters on average"),
    ],
)
def test_a_text_in_which_there_is_nothing_to_predict_is_refused(
    text: str, changes: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        own_text(tmp_path, text, **changes)


def test_chinese_words_between_blanks_are_words(tmp_path: Path) -> None:
    assert own_text(tmp_path, "国家 统计局 今天 发布 数据\n" * 20, level="word").inputs.size == 7
