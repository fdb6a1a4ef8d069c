"""The files and commands of docs/own-cell.md, for the tests of what it promises."""

from pathlib import Path

import yaml

from tests.pages import DOCS, blocks

PAGE = DOCS / "own-cell.md"
BLOCKS = list(blocks(PAGE))
CELL, LOSS, CLIP = (block.text for block in BLOCKS if block.language == "python")
COMMANDS = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
(ARMS,) = (yaml.safe_load(block.text)["sweep"] for block in BLOCKS if block.language == "yaml")
TINY = ("task=forecasting_sine_mix", "model.hidden_size=4", "trainer.max_updates=6")
OWN = ("model=own", "model.file=cell.py")


def changed(old: str, new: str) -> str:
    """The cell of the page with one change."""
    assert old in CELL
    return CELL.replace(old, new)


def put_files(folder: Path) -> None:
    """Write the files of the page into a folder."""
    for name, text in (("cell.py", CELL), ("loss.py", LOSS), ("clip.py", CLIP)):
        (folder / name).write_text(text)
