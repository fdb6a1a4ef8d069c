"""The README of an experiment and the list of all of them: where tables go, and what the list says of each."""

import re
from collections.abc import Iterator
from pathlib import Path

from study.errors import ConfigError
from study.findings.committed import comparisons
from study.findings.tables import markdown
from study.report import RESULTS

README = "README.md"
OPENS, CLOSES = "<!-- table: written by `make findings` from results.csv -->", "<!-- end of table -->"
VERDICTS = ("agrees", "partly", "differs", "not comparable", "own question", "open")
"""How a result stands beside its source; `own question`: there is none; `open`: it has not been run."""
SAID = ("Question", "Answer", "Verdict")
"""Paragraphs of a README, each opened by its name in bold, that the list quotes."""
LIST = """# Questions asked, and what came out

Each was put as any user's is: `conf/experiment/<slug>.yaml`, then `make sweep EXPERIMENT=<slug>`. Where a README says
what was expected, that was written down before its first run. `make findings` makes the runs that are missing and
writes every table from its `results.csv`; `make experiments-check` trains one run of each again and compares. Under
*Full size* a README names the command that runs it in the size of its source, `conf/experiment/<slug>_full.yaml`.

| experiment | question | answer | verdict | command |
|---|---|---|---|---|
"""


def folders(root: Path) -> list[Path]:
    """The experiments that have a README, in the order of their names."""
    return sorted(readme.parent for readme in root.glob(f"*/{README}"))


def with_table(folder: Path) -> str:
    """The README of an experiment as it should read: its table is that of its `results.csv`, where there is one.

    Raises:
        ConfigError: the README has no place for the table.
    """
    text = (folder / README).read_text()
    if not (folder / RESULTS).exists():
        return text
    before, opens, rest = text.partition(OPENS)
    _, closes, after = rest.partition(CLOSES)
    if not opens or not closes:
        raise ConfigError(f"{folder / README}: no lines {OPENS!r} and {CLOSES!r}, between which the table goes")
    return f"{before}{OPENS}\n{markdown(comparisons(folder / RESULTS))}\n{CLOSES}{after}"


def pictures(folder: Path) -> list[str]:
    """Names of the picture files that the README of an experiment shows, all of them made by its report."""
    return re.findall(r"!\[[^]]*\]\(([^)/]+)\)", (folder / README).read_text())


def listed(root: Path) -> str:
    """The list of all experiments.

    Raises:
        ConfigError: a README lacks one of the paragraphs, or its verdict is none of those there are.
    """
    return LIST + "".join(f"{row}\n" for row in map(_row, folders(root)))


def _row(folder: Path) -> str:
    question, answer, verdict = _said(folder)
    word = re.split("[.:]", verdict)[0].lower()
    if word not in VERDICTS:
        raise ConfigError(f"{folder / README}: verdict {word!r} is none of {', '.join(VERDICTS)}")
    command = f"`make findings ARGS={folder.name}`"
    return f"| [{folder.name}]({folder.name}/{README}) | {question} | {answer} | {word} | {command} |"


def _said(folder: Path) -> Iterator[str]:
    """The paragraphs that the list quotes, each on one line."""
    text = (folder / README).read_text()
    for name in SAID:
        found = re.search(rf"^\*\*{name}\.\*\* (.+?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
        if found is None:
            raise ConfigError(f"{folder / README}: no paragraph that begins with **{name}.**")
        yield " ".join(found[1].split())
