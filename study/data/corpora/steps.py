"""Words and their affixes in numbers, by what the training part knows."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd


def number_words(
    parts: Mapping[str, Sequence[str]], min_count: int, affixes: int
) -> tuple[dict[str, np.ndarray], list[list[str]], dict[str, float]]:
    """Number words (lower case) and affixes (as written); rarer and unseen ones have the first number of their kind.

    Args:
        parts: the words of every part, training first.
        min_count: occurrences in the training part from which one is known.
        affixes: longest beginnings and ends, in characters; 0: the words alone.

    Returns:
        The numbers of every part, (steps) or with affixes (steps, kinds); what is known of every kind, in the
        order of their numbers; the share of unknown words in every part.
    """
    steps = [len(words) for words in parts.values()]
    words = np.array([word for part in parts.values() for word in part], dtype=object)
    codes, written = pd.factorize(words)
    columns, names, first = [], [], 0
    for tokens_of_kind in kinds(written, affixes):
        of_written, different = pd.factorize(np.array(tokens_of_kind, dtype=object))
        kind = of_written[codes]
        known = np.flatnonzero(np.bincount(kind[: steps[0]], minlength=kind.max() + 1) >= min_count)
        table = np.full(kind.max() + 1, first)
        table[known] += np.arange(1, len(known) + 1)
        columns.append(table[kind])
        names.append(different[known].tolist())
        first += len(known) + 1
    numbers = np.stack(columns, 1) if affixes else columns[0]
    ends = np.cumsum(steps)[:-1]
    unknown = {name: float((part == 0).mean()) for name, part in zip(parts, np.split(columns[0], ends), strict=True)}
    return dict(zip(parts, np.split(numbers, ends), strict=True)), names, unknown


def kinds(words: Iterable[str], affixes: int) -> list[list[str]]:
    """For every word: the word in lower case, then its first 1, 2, ... and last 1, 2, ... characters."""
    lengths = range(1, affixes + 1)
    words = list(words)
    lower = [[word.lower() for word in words]]
    return lower + [[word[:n] for word in words] for n in lengths] + [[word[-n:] for word in words] for n in lengths]
