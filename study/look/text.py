"""Running text: its characters and words, what is unknown at the default split, and how it is trained on."""

from pathlib import Path
from typing import Any

from study.data.corpora import tokens
from study.data.files import Contents, lines, read
from study.errors import ConfigError
from study.look.seen import SPLITS, Seen, value
from study.schema.defaults import option
from study.schema.task.base import SplitByShares

TASK = "language_text"


def look(path: Path) -> Seen:
    """What is seen in a text."""
    contents, keys = read(path), option("task", TASK)
    facts: dict[str, Any] = {"encoding": contents.encoding, "lines": len(lines(contents.text))}
    facts["longest line"] = max(map(len, lines(contents.text)))
    for level in ("char", "word"):
        facts |= _level(contents, level, keys)
    typed = [f"task={TASK}", f"task.path={value(str(path))}", f"task.level={keys['level']}"]
    try:
        typed += _fitting(len(contents.text), keys)
        tokens.refuse_degenerate(facts["char vocabulary"], keys["min_count"])
    except ConfigError as error:
        return Seen("text", facts, contents.notes, f"{path}: {error}")
    return Seen("text", facts, contents.notes, "", typed)


def _level(contents: Contents, level: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Tokens, vocabulary and unknown shares of one level."""
    try:
        (codes,), _ = tokens.codes([contents.text], level)
    except ConfigError as error:
        return {f"{level} level": str(error)}
    ends = SplitByShares(validation=keys["validation"], test=keys["test"]).ends(len(codes))
    parts = dict(zip(SPLITS, tokens.by_shares(codes, ends), strict=True))
    if not all(len(part) for part in parts.values()):
        return {f"{level}s": len(codes)}
    numbered, known = tokens.number(parts, keys["min_count"])
    unknown = {split: round(share, 4) for split, share in tokens.unknown_shares(numbered).items()}
    return {f"{level}s": len(codes), f"{level} vocabulary": len(known) + 1, f"unknown {level}s": unknown}


def _fitting(count: int, keys: dict[str, Any]) -> list[str]:
    """Overrides with which so many tokens are enough.

    Raises:
        ConfigError: they are too few.
    """
    first, last = SplitByShares(validation=keys["validation"], test=keys["test"]).ends(count)
    shortest = min(last - first, count - last) - 1
    for width in (keys["batch_size"], 8, 1):
        rows = (first - 1) // width
        if rows >= 10 and shortest >= width:
            changed = {"batch_size": width, "seq_len": min(keys["seq_len"], rows)}
            return [f"task.{key}={given}" for key, given in changed.items() if given != keys[key]]
    raise ConfigError(f"{count} tokens are too few to be split into training, validation and test")
