"""`python -m study.bench.truncation`: bias and variance of every truncation, and where they lead.

First tables: networks with fixed weights, small ones on a leaky sum of the past (rate 0.9 a step), and the chain of
`study.verify.influence`, whose short truncations have the wrong sign, asked for 1 with noise. The gradient of every
update is compared with the exact one, by full BPTT, which RTRL checks on the first batches. Bias and variance are
relative to the norm of the exact gradient; a bias near its error is none. An update of a short window scatters more
because it sees less: read beside it how many updates the same data make.

Last table: where they lead the chain (influence balancing). The learning rate is 20 times that of its source, in these
units of loss.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from rich.console import Console

from study.learning.bptt import Carry, TruncatedBPTT
from study.learning.bptt.adaptive import AdaptiveBPTT
from study.learning.bptt.artbp import ARTBP
from study.learning.clipping import Clip
from study.learning.clipping.none import NoClip
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.probes.gradients import gradient
from study.tasks.contract import Batch
from study.terminal import printer, table, takes_json
from study.verify.influence import chain, theta
from study.verify.networks import FEATURES, MSE, normal, random_network
from study.verify.rtrl import rtrl_gradient
from study.verify.spread import Listener, spread

TIME, WIDTH, HIDDEN, RATE = 60, 4, 8, 0.9
CHECKED = 3
"""Batches whose exact gradient RTRL works out too."""
DESCENT, SIZE = 1e-3, 100
"""Of the chain: the learning rate, and steps of a batch."""
LONGEST = 400
"""Steps that an adaptive truncation of the chain may choose, at most."""
SPREADS = {
    "truncation": "{truncation}",
    "bias": "{bias:.3f}",
    "+-": "{error:.3f}",
    "variance": "{variance:.3f}",
    "updates": "{updates:d}",
    "k2 in the mean": "{k2:.1f}",
}
BALANCING = {
    "truncation": "{truncation}",
    "loss (- is diverged)": "{loss:.1e}",
    "theta": "{theta:.4f}",
    "k2 at the end": "{k2:.0f}",
}
DIVERGED = 1e6
"""A loss above this is not followed further."""


@takes_json
def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200, help=f"of {WIDTH} sequences of {TIME} steps")
    parser.add_argument("--steps", type=int, default=20_000, help="of the chain, as a stream")
    parser.add_argument("--seeds", type=int, default=3, help="of random cuts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    console = Console(width=110)
    for name, gain in (("elman", 1.1), ("lstm", 1.5)):
        batches = [_leaky(seed) for seed in range(options.batches)]
        _spreads(random_network(name, gain, HIDDEN), f"{name}, {HIDDEN} units", batches, console)
    _spreads(chain(), "influence balancing", [_noisy(seed) for seed in range(options.batches)], console)
    _balancing(options.steps, options.seeds, console)


def _trainers(network: RecurrentModel, clip: Clip, steps: int) -> Iterator[tuple[str, TruncatedBPTT]]:
    """Every truncation, for sequences of so many steps."""
    rest = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.0)
    for k2 in (1, 5, 10, 20, None):
        yield f"truncated, k2 = {k2 or 'all'}", TruncatedBPTT(network, MSE, rest, clip, None, k2)
    yield "truncated, k1 = 5, k2 = 20", TruncatedBPTT(network, MSE, rest, clip, 5, 20)
    for delta in (0.9, 0.5, 0.1):
        yield f"adaptive, delta = {delta}", AdaptiveBPTT(network, MSE, rest, clip, delta, 5, steps, 5, every=1)
    for length, alpha, block in ((10, None, 1), (20, None, 5), (20, 4.0, 5), (20, 4.0, 1)):
        yield (
            f"artbp, length = {length}, alpha = {alpha}, block = {block}",
            ARTBP(network, MSE, rest, clip, length, alpha, block),
        )
    yield "artbp, length = 20, alpha = 4.0, sequence", ARTBP(network, MSE, rest, clip, 20, 4.0, 5, "sequence")


def _spreads(network: RecurrentModel, name: str, batches: Sequence[Batch], console: Console) -> None:
    exact = torch.stack([gradient(network, MSE, batch) for batch in batches])
    referee = torch.stack([rtrl_gradient(network, MSE, batch) for batch in batches[:CHECKED]])
    off = float((referee - exact[:CHECKED]).norm() / referee.norm())
    records: list[dict[str, Any]] = []
    for scheme, trainer in _trainers(network, Listener(), len(batches[0].targets)):
        found = spread(trainer, batches, exact)
        reach = None if math.isnan(found.reach) else found.reach
        numbers = {"bias": found.bias, "error": found.error, "variance": found.variance, "updates": found.updates}
        records.append({"network": name, "truncation": scheme, **numbers, "k2": reach})
    title = f"{name}; full BPTT differs from RTRL by {off:.0e}"
    printer().show("spreads", records, table(records, SPREADS, title=title), console)


def _leaky(seed: int) -> Batch:
    """Targets that need the past: y_t = sum_k RATE^k x_{t-k}, of the first feature, around 0.5."""
    inputs = normal(TIME, WIDTH, FEATURES, seed=1000 + seed)
    total, targets = torch.zeros(WIDTH), []
    for entering in inputs:
        total = RATE * total + entering[:, 0]
        targets.append(total)
    return Batch(inputs, torch.stack(targets)[..., None] + 0.5)


def _noisy(seed: int) -> Batch:
    """The chain is asked for 1 at every step, with noise as large."""
    targets = 1 + normal(SIZE, WIDTH, 1, seed=2000 + seed)
    return Batch(torch.zeros(SIZE, WIDTH, 1), targets)


def _balancing(steps: int, seeds: int, console: Console) -> None:
    records: list[dict[str, Any]] = []
    for k2 in (1, 10, 100, 200, 400):
        trained = TruncatedBPTT(*_by_descent(chain()), None, k2, stream=SIZE)
        records.append({"truncation": f"truncated, k2 = {k2}", **_follow(trained, steps)})
    for delta in (0.9, 0.5, 0.1):
        adapted = AdaptiveBPTT(*_by_descent(chain()), delta, 10, LONGEST, 10, stream=SIZE)
        records.append({"truncation": f"adaptive, delta = {delta}", **_follow(adapted, steps)})
    for length, alpha, block in ((20, 4.0, 1), (20, 4.0, 5), (50, 4.0, 5), (100, None, 5)):
        for seed in range(seeds):
            trainer = ARTBP(*_by_descent(chain()), length, alpha, block, stream=SIZE, seed=seed)
            row = f"artbp, length = {length}, alpha = {alpha}, block = {block}, seed {seed}"
            records.append({"truncation": row, **_follow(trainer, steps)})
    title = f"influence balancing, {steps:,} steps; solved by theta = -1/6"
    printer().show("balancing", records, table(records, BALANCING, title=title), console)


def _by_descent(network: RecurrentModel) -> tuple[RecurrentModel, Loss, torch.optim.Optimizer, Clip]:
    parameters = [p for p in network.parameters() if p.requires_grad]
    return network, MSE, torch.optim.SGD(parameters, DESCENT), NoClip()


def _follow(trainer: TruncatedBPTT, steps: int) -> dict[str, float | None]:
    """Train along a stream; the last loss a step, theta and k2; None for the first two where it diverged."""
    batch = Batch(torch.zeros(SIZE, 1, 1), torch.ones(SIZE, 1, 1))
    carry: Carry | None = None
    loss = math.nan
    for _ in range(steps // SIZE):
        for update in trainer.updates(batch, carry):
            loss = float(update.loss)
            if not loss < DIVERGED:
                return {"loss": None, "theta": None, "k2": trainer.k2}
        carry = trainer.carry
    return {"loss": loss, "theta": float(theta(trainer.model).detach()), "k2": trainer.k2}


if __name__ == "__main__":
    main()
