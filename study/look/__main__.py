"""Say what is seen in a file and what to type next: `study-look FILE`, `python -m study.look FILE`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from study.data.files import located
from study.errors import UNUSABLE, ConfigError
from study.look.kind import KINDS, kind_of
from study.look.seen import Seen
from study.terminal import add_flag, interruptible, printing

SHOWN = 12
"""Labels and columns that are printed; all of them are in `--json`."""


@interruptible
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="study-look", description="What is seen in a file, and what to type next.")
    parser.add_argument(
        "file", help="a table (CSV, TSV, ...), a corpus with labels (CoNLL-U, columns, word/tag), or a text"
    )
    parser.add_argument("--kind", choices=KINDS, help="take it for this; default: by its name and first lines")
    add_flag(parser)
    given = parser.parse_args()
    try:
        path = located("FILE", given.file)
        seen = look(path, given.kind)
    except ConfigError as error:
        print(f"The file cannot be read:\n{error}", file=sys.stderr)
        sys.exit(UNUSABLE)
    with printing(given.json) as printer:
        printer.keep(**seen.record(str(path)))
        print(in_words(path, seen))
    sys.exit(UNUSABLE if seen.refused else 0)


def look(path: Path, kind: str | None = None) -> Seen:
    """What is seen in a file.

    Args:
        path: of the file.
        kind: one of `KINDS`; None: found.

    Raises:
        ConfigError: it is no text.
    """
    from study.look import labels, series, text

    return {"series": series.look, "labels": labels.look, "text": text.look}[kind or kind_of(path)](path)


def in_words(path: Path, seen: Seen) -> str:
    """Lines for the terminal."""
    said = [f"{path}: {seen.kind}"]
    for name, fact in seen.facts.items():
        said += _columns(fact) if name == "columns" else [f"  {name:<17}{_short(fact)}"]
    said += [f"  note: {note}" for note in seen.notes]
    if seen.refused:
        return "\n".join([*said, "It cannot be trained on as it is:", f"  {seen.refused}"])
    return "\n".join([*said, "Type next:", f"  {seen.command}"])


def _short(fact: Any) -> str:
    if not isinstance(fact, dict):
        return f"{fact:,}" if isinstance(fact, int) else str(fact)
    pairs = [
        f"{name} {f'{number:.1%}' if isinstance(number, float) else f'{number:,}'}" for name, number in fact.items()
    ]
    return ", ".join(pairs[:SHOWN]) + (f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else "")


def _columns(columns: list[dict[str, Any]]) -> list[str]:
    """A line a column."""
    width = max(len(str(column["name"])) for column in columns)
    lines = []
    for column in columns[:SHOWN]:
        missing = f", {column['missing']} missing" if column.get("missing") else ""
        between = f" {column['least']} .. {column['most']}" if "least" in column else ""
        lines.append(f"  column {column['name']:<{width}}  {column.get('type', '')}{between}{missing}".rstrip())
    return lines + ([f"  and {len(columns) - SHOWN} more columns"] if len(columns) > SHOWN else [])


if __name__ == "__main__":
    main()
