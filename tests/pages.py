"""The pages of the documentation: their headings, links and blocks of code."""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
"""Pages whose blocks are checked; links are also followed from those of the experiments."""
FENCE = re.compile(r"( *)```(\S*) *(.*)")
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A block of code.

    Attributes:
        page: where it stands.
        line: of its first line of code.
        language: after the fence; empty of an indented block.
        note: what follows the language, such as the name of a file.
        text: without fence and indentation.
    """

    page: Path
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of a page, fenced or indented by four spaces after an empty line, from top to bottom."""
    lines = page.read_text().splitlines()
    at = 0
    while at < len(lines):
        if match := FENCE.fullmatch(lines[at]):
            indent, language, note = match.groups()
            inside = list(takewhile(lambda line: line.strip() != "```", lines[at + 1 :]))
            yield Block(page, at + 2, language, note, _joined(line[len(indent) :] for line in inside))
            at += len(inside) + 2
        elif re.match(r" {4,}\S", lines[at]) and (at == 0 or not lines[at - 1].strip()):
            inside = list(takewhile(lambda line: not line or line.startswith("    "), lines[at:]))
            indent = re.match(" *", inside[0]).group()  # type: ignore[union-attr]
            yield Block(page, at + 1, "", "", _joined(line[len(indent) :] for line in inside))
            at += len(inside)
        else:
            at += 1


def prose(page: Path) -> str:
    """A page without blocks and without code in its lines."""
    fenced = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", fenced)


def links(page: Path) -> list[str]:
    """The addresses that a page links to and the pictures that it shows, those of the web left out."""
    return [found for found in LINK.findall(prose(page)) if not re.match(r"\w+:", found)]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of a page ends in, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _joined(lines: Iterator[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"
