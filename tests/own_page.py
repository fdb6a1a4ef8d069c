"""The files and commands of docs/own-cell.md, for the tests of what it promises."""

import re
from pathlib import Path

import yaml

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own-cell.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.S)
CELL, LOSS, CLIP = (text for kind, text in BLOCKS if kind == "python")
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
(ARMS,) = (yaml.safe_load(text)["sweep"] for kind, text in BLOCKS if kind == "yaml")
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
