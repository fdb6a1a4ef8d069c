"""Running text in numbers: what a token is, which of them the training part knows, how many are unknown."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from study.errors import ConfigError

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"
BLOCK = 1 << 22
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
    words = [words_of(text) for text in texts]
    for text, found in zip(texts, words, strict=True):
        _refuse_unspaced(text, found)
    return _word_codes(words)


def _points(text: str) -> np.ndarray:
    """Code points."""
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _word_codes(words: Sequence[Sequence[str]]) -> tuple[list[np.ndarray], Written]:
    """Words numbered from 1 as they first come, line ends counted as words; `<unk>` is 0."""
    numbers, written = pd.factorize(np.array([UNKNOWN, *(word for part in words for word in part)], dtype=object))
    return np.split(numbers[1:], np.cumsum([len(part) for part in words])[:-1]), lambda code: written[code]


def _refuse_unspaced(text: str, words: Sequence[str]) -> None:
    lengths = [len(word) for word in words if word != END_OF_LINE]
    if not lengths:
        return
    mean = sum(lengths) / len(lengths)
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
    counts = np.sum([np.bincount(block, minlength=highest + 1) for block in _blocks(parts["train"])], axis=0)
    counts[0] = 0
    known = np.flatnonzero(counts >= min_count)
    size = len(known) + 1
    table = np.zeros(highest + 1, dtype=np.uint8 if size <= 256 else np.int32)
    table[known] = np.arange(1, size)
    numbered = {split: np.concatenate([table[block] for block in _blocks(part)]) for split, part in parts.items()}
    return numbered, known.tolist()


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
