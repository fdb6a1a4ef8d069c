"""`python -m study.bench.regularizers`: the cost of an update with each regularizer, in updates without one.

An update is one of `TruncatedBPTT` by full BPTT on one batch: forward, backward, penalty, clipping, Adam. Options are
those of `conf/regularizer`. Contestants alternate; ratios are of medians of processor time, one thread.
"""

import argparse
import statistics
import time

import torch

from study import models
from study.bench.composed import composed
from study.errors import ConfigError
from study.learning import regularizers
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.norm import ClipNorm
from study.learning.losses.mse import MSE
from study.models import Inputs
from study.schema import Config
from study.schema.model import MODELS
from study.schema.regularizer import REGULARIZERS
from study.tasks import Batch
from study.terminal import printer, table, takes_json

TIME, WIDTH, FEATURES, HIDDEN = 50, 32, 16, 32


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--models", nargs="*", choices=[*MODELS], default=[*MODELS], metavar="MODEL")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    title = f"An update with each regularizer, in updates without (hidden {HIDDEN}, {WIDTH} x {TIME})"
    first, *others = REGULARIZERS
    columns = {"core": "{core}", f"{first}, ms": f"{{{first}:.1f}}"} | {name: f"{{{name}:.1f}}" for name in others}
    records = [{"core": name, **_row(name, options.repetitions)} for name in options.models]
    printer().show("updates", records, table(records, columns, title=title))


def _row(model: str, repetitions: int) -> dict[str, float | None]:
    """Milliseconds without a regularizer, the ratio of each other one to it; None where it has nothing to act on."""
    batch = Batch(torch.randn(TIME, WIDTH, FEATURES), torch.randn(TIME, WIDTH, 1))
    trainers = {name: _trainer(_config(f"model={model}", f"regularizer={name}"), batch) for name in REGULARIZERS}
    taken: dict[str, list[float]] = {name: [] for name in REGULARIZERS}
    for _ in range(repetitions + 1):  # the first one warms up
        for name, bptt in trainers.items():
            started = time.process_time()
            list(bptt.updates(batch) if bptt else ())
            taken[name].append(time.process_time() - started)
    medians = {name: statistics.median(times[1:]) for name, times in taken.items() if trainers[name]}
    first, *others = REGULARIZERS
    ratios = {name: medians[name] / medians[first] if name in medians else None for name in others}
    return {first: 1000 * medians[first], **ratios}


def _trainer(config: Config, batch: Batch) -> TruncatedBPTT | None:
    """None where the regularizer refuses the model."""
    network = models.build(config.model, Inputs(FEATURES, tokens=False), 1)
    adam, regularizer = torch.optim.Adam(network.parameters()), regularizers.build(config.regularizer)
    try:
        regularizer.refuse(network, batch.inputs)
    except ConfigError:
        return None
    bptt = TruncatedBPTT(network, MSE(), adam, ClipNorm(1.0))
    bptt.regularizer = regularizer if regularizer.acts else None
    return bptt


def _config(*overrides: str) -> Config:
    return composed(*overrides, f"model.hidden_size={HIDDEN}")


if __name__ == "__main__":
    main()
