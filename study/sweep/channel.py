"""Between a trial and the sweep around it, while it trains: whether to stop."""

import pytorch_lightning as pl

from study.sweep.worker import Stop


class Channel(pl.Callback):
    """Leaves the training, between updates, once the worker was told to stop."""

    def __init__(self, stop: Stop):
        self._stop = stop

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Stop as if the process were ending: the run is KILLED, its history kept."""
        if self._stop.asked:
            raise SystemExit("the sweep was interrupted")
