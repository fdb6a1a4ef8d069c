"""A Lightning callback by which `study.bench.startup` sees that a worker has made its first updates."""

from pathlib import Path

import pytorch_lightning as pl


class FirstUpdate(pl.Callback):
    """Makes a file after the first step of training.

    Args:
        file: its place; it may be there already.
    """

    def __init__(self, file: str):
        self._file = Path(file)

    def on_train_batch_end(self, *_: object) -> None:
        """Make it."""
        self._file.touch()
