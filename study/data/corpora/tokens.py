"""Running text in numbers: what a token is, which of them the training part knows, how many are unknown."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from study.errors import ConfigError

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"
BLOCK = 1 << 20
"""Steps taken at once where a wide copy is made of them."""
LONG_WORD, LONG_UNSPACED = 15, 6
"""Characters of a mean word from which a text is taken to have no blanks between words; in scripts without blanks."""
UNSPACED = (
    (0x0E00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0x20000, 0x323AF),
)
"""Code points of Thai, Lao, Tibetan, Burmese, Khmer, of Japanese syllables, and of Chinese characters."""


Written = Callable[[int], str]
"""From the code of a token to the token."""


def words_of(text: str) -> list[str]:
    """What white space separates, line ends counted as words."""
    return text.replace("\n", f" {END_OF_LINE} ").split()


def codes(texts: Sequence[str], level: str) -> tuple[list[np.ndarray], Written]:
    """The tokens of every text as codes: code points, or words as they first come, 0 for `<unk>`; and their texts.

    Args:
        texts: of one file or several.
        level: `char` or `word`.

    Raises:
        ConfigError: words are asked for, and there are no blanks between them.
    """
    if level == "char":
        return [_points(text) for text in texts], chr
    known = {UNKNOWN: 0}
    parts = [_word_codes(text, known) for text in texts]
    written = [*known]
    for text, codes_of_text in zip(texts, parts, strict=True):
        _refuse_unspaced(text, codes_of_text, written)
    return parts, written.__getitem__


def _points(text: str) -> np.ndarray:
    """Code points, in as few bytes as the highest needs."""
    points = np.empty(len(text), np.uint8)
    for first in range(0, len(text), BLOCK):
        block = np.frombuffer(text[first : first + BLOCK].encode("utf-32-le"), dtype=np.uint32)
        points = points.astype(np.promote_types(points.dtype, np.min_scalar_type(block.max())), copy=False)
        points[first : first + BLOCK] = block
    return points


def _word_codes(text: str, known: dict[str, int]) -> np.ndarray:
    """The numbers of words as they first come, line ends counted as words; new words are added to `known`."""
    blocks = [np.empty(0, np.int32)]
    for block in _between_blanks(text):
        numbers, words = pd.factorize(np.array(words_of(block), dtype=object))
        table = np.array([known.setdefault(word, len(known)) for word in words], dtype=np.int32)
        blocks.append(table[numbers])
    return np.concatenate(blocks)


def _between_blanks(text: str) -> Iterator[str]:
    """A text in stretches of about `BLOCK` characters that end at a blank, if one is left."""
    first = 0
    while first < len(text):
        end = text.find(" ", first + BLOCK)
        end = len(text) if end < 0 else end
        yield text[first:end]
        first = end


def _refuse_unspaced(text: str, codes_of_text: np.ndarray, written: Sequence[str]) -> None:
    counts = np.bincount(codes_of_text, minlength=len(written))
    lengths = [(len(word), int(count)) for word, count in zip(written, counts, strict=True) if word != END_OF_LINE]
    if not (number := sum(count for _, count in lengths)):
        return
    mean = sum(length * count for length, count in lengths) / number
    points = _points(text[:10_000])
    unspaced = sum(int(((points >= first) & (points <= last)).sum()) for first, last in UNSPACED) > len(points) / 2
    if mean > (LONG_UNSPACED if unspaced else LONG_WORD):
        raise ConfigError(
            f"task.level = 'word': between blanks there are {mean:.0f} characters on average, so this text has none "
            "between its words; task.level=char takes characters, or put blanks between words with a segmenter"
        )


def by_shares(tokens: np.ndarray, ends: Sequence[int]) -> list[np.ndarray]:
    """Training, validation and test part, by the first tokens of the last two."""
    return np.split(tokens, ends)


def number(parts: Mapping[str, np.ndarray], min_count: int) -> tuple[dict[str, np.ndarray], list[int]]:
    """Tokens in as few bytes as they need, and the codes of those that are known, numbered from 1."""
    highest = max(int(part.max(initial=0)) for part in parts.values())
    counts = np.zeros(highest + 1, np.int64)
    for block in _blocks(parts["train"]):
        counts += np.bincount(block, minlength=highest + 1)
    counts[0] = 0
    known = np.flatnonzero(counts >= min_count)
    size = len(known) + 1
    table = np.zeros(highest + 1, dtype=np.uint8 if size <= 256 else np.int32)
    table[known] = np.arange(1, size)
    return {split: _looked_up(table, part) for split, part in parts.items()}, known.tolist()


def _looked_up(table: np.ndarray, part: np.ndarray) -> np.ndarray:
    numbered = np.empty(len(part), table.dtype)
    for given, taken in zip(_blocks(part), _blocks(numbered), strict=True):
        taken[:] = table[given]
    return numbered


def refuse_degenerate(size: int, min_count: int) -> None:
    """Refuse a vocabulary in which there is nothing to predict."""
    if size < 3:
        raise ConfigError(
            f"task.min_count = {min_count}: the training part has {size - 1} different tokens that occur so often, and "
            "at least 2 are needed; give another text, or a lower min_count"
        )


def unknown_shares(parts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The share of unknown tokens of every part."""
    return {split: float((part == 0).mean()) for split, part in parts.items()}


def _blocks(numbers: np.ndarray) -> list[np.ndarray]:
    """Stretches short enough for the wide copies NumPy indexes with."""
    return np.split(numbers, range(BLOCK, len(numbers), BLOCK))
