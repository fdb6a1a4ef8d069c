"""`python -m study.bench.callback`: updates a second of Lightning's Trainer with `GradientHistory`, and without it.

A layer with 64 units on batches of 32 sequences of 50 steps, clipped by the Trainer. The two train the same
updates in turn; ratios are of medians. Flow is measured where the callback does so; the page at the end is left out.
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from study.callback.callback import GradientHistory
from study.terminal import printer, table, takes_json

LAYERS = {"nn.LSTM": nn.LSTM, "nn.GRU": nn.GRU}
TIME, WIDTH, FEATURES, HIDDEN = 50, 32, 8, 64
COLUMNS = {
    "layer": "{layer}",
    "updates/s without": "{without:.0f}",
    "with": "{with:.0f}",
    "ratio, wall": "{ratio_wall:.3f}",
    "processor": "{ratio_processor:.3f}",
}


class PlainModule(pl.LightningModule):
    """The textbook module: a recurrent layer, a head, a loss at every step.

    Args:
        layer: builds the recurrent layer.
    """

    def __init__(self, layer: Callable[..., nn.RNNBase]):
        super().__init__()
        self.layer, self.head = layer(FEATURES, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 1)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """One update from one batch."""
        return functional.mse_loss(self.head(self.layer(batch[0])[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), 1e-3)


class _Timed(pl.Callback):
    """Takes the time between the first and the last update: neither Lightning's start nor the page counts."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def on_train_start(self, *_: object) -> None:
        """Start."""
        self.wall, self.processor = -time.perf_counter(), -time.process_time()

    def on_train_epoch_end(self, *_: object) -> None:
        """Stop."""
        self.wall += time.perf_counter()
        self.processor += time.process_time()


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--layers", nargs="*", choices=LAYERS, default=list(LAYERS), metavar="LAYER")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    records = [_record(name, options.updates, options.repetitions) for name in options.layers]
    title = f"Lightning's Trainer with GradientHistory (hidden {HIDDEN}, {WIDTH} x {TIME})"
    printer().show("speeds", records, table(records, COLUMNS, title=title))


def _record(layer: str, updates: int, repetitions: int) -> dict[str, Any]:
    taken: dict[bool, list[_Timed]] = {False: [], True: []}
    for _ in range(repetitions):
        for watched, times in taken.items():
            times.append(_train(LAYERS[layer], updates, watched))
    wall, processor = (
        {watched: statistics.median(getattr(one, kind) for one in times) for watched, times in taken.items()}
        for kind in ("wall", "processor")
    )
    speeds = {"without": updates / wall[False], "with": updates / wall[True]}
    ratios = {"ratio_wall": wall[False] / wall[True], "ratio_processor": processor[False] / processor[True]}
    return {"layer": layer, **speeds, **ratios}


def _train(layer: Callable[..., nn.RNNBase], updates: int, watched: bool) -> _Timed:
    inputs = torch.randn(WIDTH * updates, TIME, FEATURES)
    batches = DataLoader(TensorDataset(inputs, inputs.cumsum(1)[..., :1]), WIDTH)
    timed = _Timed()
    with tempfile.TemporaryDirectory() as folder:
        history = [GradientHistory(folder=Path(folder))] if watched else []
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, gradient_clip_val=1.0, enable_model_summary=False,
            callbacks=[*history, timed], **quiet,
        )  # fmt: skip
        trainer.fit(PlainModule(layer), batches)
    return timed


if __name__ == "__main__":
    main()
