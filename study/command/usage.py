"""What `--help` prints: the options of every group and what else may be typed, from the files of `conf/` alone."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from study.command.arguments import own_folders
from study.installation import CONF

HEAD = """\
study-train [key=value ...]      trains one network
study-sweep [key=value ...]      trains every network of an experiment, or of what is typed: model=elman,lstm seed=0,1

Options of the groups (model=lstm chooses one; then its keys: model.hidden_size=32):
"""
TAIL = """
--cfg job            prints the configuration that was typed, every key with its value, and runs nothing
-cd FOLDER           adds your own FOLDER/experiment/*.yaml, FOLDER/model/*.yaml and so on
-sc install=bash     prints what lets the shell complete what you type: eval "$(study-train -sc install=bash)"
--hydra-help         Hydra's other options
sweep.dry_run=true   with study-sweep: prints what would be run, and runs nothing
sweep.dry_run=timed  the same, and how long it takes, from a few updates of every arm

Every key is explained in conf/<group>/<option>.yaml, every choice in docs/; quoting and exit codes in
docs/command-line.md."""
WIDTH = 118


def text(typed: Sequence[str]) -> str:
    """The whole page.

    Args:
        typed: the arguments; of a folder after `-cd` or `--config-dir` the options are listed too.
    """
    folders = [CONF, *own_folders(typed)]
    groups = sorted({path.name for folder in folders for path in folder.iterdir() if path.is_dir()} - {"hydra"})
    return HEAD + "\n".join(_line(group, folders) for group in groups) + "\n" + TAIL


def _line(group: str, folders: Sequence[Path]) -> str:
    options = sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})
    head = f"  {group:12} "
    return textwrap.fill(", ".join(options), WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
