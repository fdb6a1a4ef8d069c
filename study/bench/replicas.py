"""`python -m study.bench.replicas`: seeds of one arm computed as one program, beside one at a time.

A replica is what one run trains: embedding, one layer, head; 64 tokens, cross-entropy. Alone, its layer runs as updates
run it; together, the layers of all replicas are one program (`study.bench.stacked_cores`). The columns:

- launches: operations that compute, a replica, in forward and backward of its layer; on a GPU its kernels and copies;
- layer: replicas a second in forward and backward of the layer, together as a multiple of alone;
- update: the same of a whole update; embedding, head, loss, clipping and Adam are each replica's own;
- updates/s: of single replicas, together;
- gradients: the largest relative difference of a parameter's, together from alone; 0: every bit is the same;
- others matter: whether a bit of the first replica's gradient changes where all others read other data.

Contestants alternate; a ratio is of medians, on a CPU of processor time with one thread.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor
from torch.autograd.profiler import DeviceType
from torch.optim import Adam, Optimizer
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from study.bench.stacked_cores import can_be_stacked, together
from study.learning.clipping.norm import ClipNorm
from study.learning.losses.cross_entropy import CrossEntropy
from study.models import Core, Inputs, RecurrentModel, core_class
from study.schema.model import MODELS
from study.seeding import set_up_process
from study.terminal import printer, table, takes_json

TOKENS = 64
SHAPES = ((32, 50), (16, 20))
"""Sequences, steps."""
COLUMNS = {
    "cell": "{cell}",
    "batch": "{batch}",
    "hidden": "{hidden:d}",
    "replicas": "{replicas:d}",
    "launches alone": "{launches_alone:.0f}",
    "together": "{launches_together:.0f}",
    "layer": "{layer:.2f}",
    "update": "{update:.2f}",
    "updates/s": "{updates_per_second:.0f}",
    "gradients": "{gradients:.0e}",
    "others matter": "{others_matter}",
}
Way = Callable[[Sequence[Core], Sequence[Tensor]], Sequence[Tensor]]
"""Runs cores over as many inputs, (time, batch, features) each; returns what leaves them."""


class Replica(NamedTuple):
    """What one run trains, and its batch: tokens, and those to predict, (time, batch) each."""

    model: RecurrentModel
    optimizer: Optimizer
    tokens: Tensor
    targets: Tensor


Act = Callable[[Sequence[Replica], Way], None]
"""Does something with replicas whose cores run in a way."""


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cells = [name for name in MODELS if name != "own" and can_be_stacked(core_class(name)(1, 2))]
    parser.add_argument("--cells", nargs="*", choices=cells, default=["elman", "gru", "lstm", "mgu"], metavar="CELL")
    parser.add_argument("--hidden", nargs="*", type=int, default=[8, 24, 64])
    parser.add_argument("--replicas", nargs="*", type=int, default=[4, 8])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    set_up_process(options.device)
    sizes = [(shape, hidden, count) for shape in SHAPES for hidden in options.hidden for count in options.replicas]
    rows = [(cell, *size) for cell in options.cells for size in sizes]
    records = [record(*row, options.repetitions, options.device) for row in rows]
    title = f"Replicas together beside one at a time, {options.device}"
    printer().show("replicas", records, table(records, COLUMNS, title=title), Console(width=120))


def record(
    cell: str, shape: tuple[int, int], hidden: int, count: int, repetitions: int, device: str = "cpu"
) -> dict[str, Any]:
    """One row.

    Args:
        cell: name of the architecture.
        shape: sequences, steps.
        hidden: units.
        count: replicas.
        repetitions: of every time that is taken.
        device: `cpu` or `cuda`.
    """
    replicas = [replica(cell, shape, hidden, seed, device) for seed in range(count)]
    launched = {name: launches(run, device) / count for name, run in _runs(replicas, descend).items()}
    layer, whole = (_alternate(_runs(replicas, act), repetitions, device) for act in (descend, update))
    return {
        "cell": cell, "batch": f"{shape[0]} x {shape[1]}", "hidden": hidden, "replicas": count,
        "launches_alone": launched["alone"], "launches_together": launched["together"],
        "layer": layer["alone"] / layer["together"], "update": whole["alone"] / whole["together"],
        "updates_per_second": count / whole["together"],
        "gradients": difference(replicas), "others_matter": "no" if keeps_bits(replicas) else "yes",
    }  # fmt: skip


def _runs(replicas: Sequence[Replica], act: Act) -> dict[str, Callable[[], None]]:
    """The contestants."""

    def one_at_a_time() -> None:
        for one in replicas:
            act([one], alone)

    return {"alone": one_at_a_time, "together": partial(act, replicas, together)}


def replica(cell: str, shape: tuple[int, int], hidden: int, seed: int, device: str = "cpu") -> Replica:
    """A network and a batch, drawn by a seed of its own."""
    torch.manual_seed(seed)
    model = RecurrentModel(Inputs(TOKENS, tokens=True), core_class(cell)(hidden, hidden), TOKENS)
    tokens = torch.randint(TOKENS, (shape[1] + 1, shape[0])).to(device)
    model.to(device)
    return Replica(model, Adam(model.parameters()), tokens[:-1], tokens[1:])


def alone(cores: Sequence[Core], inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Every core as updates run it."""
    return [core.train_forward(entering)[0] for core, entering in zip(cores, inputs, strict=True)]


def descend(replicas: Sequence[Replica], way: Way) -> None:
    """Forward and backward of the layers, the loss a plain sum; leaves the gradients in the parameters."""
    inputs = [one.model.encode(one.tokens) for one in replicas]
    for one in replicas:
        one.optimizer.zero_grad(set_to_none=True)
    outputs = way([one.model.core for one in replicas], inputs)
    torch.stack([hidden.square().sum() for hidden in outputs]).sum().backward()


def update(replicas: Sequence[Replica], way: Way) -> None:
    """One whole update of every replica, with one backward pass for all."""
    loss, clip = CrossEntropy(), ClipNorm(1.0)
    outputs = way([one.model.core for one in replicas], [one.model.encode(one.tokens) for one in replicas])
    losses = [
        loss.total(one.model.decode(hidden), one.targets, None) / one.targets.numel()
        for one, hidden in zip(replicas, outputs, strict=True)
    ]
    torch.stack(losses).sum().backward()
    for one in replicas:
        parameters = list(one.model.parameters())
        clip([p.grad for p in parameters if p.grad is not None], parameters)
        one.optimizer.step()
        one.optimizer.zero_grad(set_to_none=True)


def launches(run: Callable[[], None], device: str) -> int:
    """Operations that compute; on a GPU the kernels and copies that its timeline shows."""
    if device == "cpu":
        with _Computing() as counted:
            run()
        return counted.operations
    run()  # the first call sets libraries up
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as timeline:
        run()
        torch.cuda.synchronize()
    return sum(event.device_type == DeviceType.CUDA for event in timeline.events())


class _Computing(TorchDispatchMode):
    """Counts the operations that write numbers: neither views nor memory that is set aside."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Let the operation do what it does, and count."""
        views = any(
            given.alias_info is not None and not given.alias_info.is_write for given in operation._schema.returns
        )
        self.operations += not views and "empty" not in operation._schema.name
        return operation(*args, **(kwargs or {}))


def gradients(replicas: Sequence[Replica], way: Way) -> list[Tensor]:
    """Of the embedding and the layer of every replica, as `descend` leaves them."""
    descend(replicas, way)
    parameters = chain(*(one.model.parameters() for one in replicas))
    return [p.grad.clone() for p in parameters if p.grad is not None]


def difference(replicas: Sequence[Replica]) -> float:
    """The largest relative difference of a parameter's gradient, together from alone."""
    own = chain(*(gradients([one], alone) for one in replicas))
    pairs = zip(gradients(replicas, together), own, strict=True)
    return max(float((found - wanted).norm() / wanted.norm()) for found, wanted in pairs)


def keeps_bits(replicas: Sequence[Replica]) -> bool:
    """Whether the first replica's gradient keeps every bit when all others read other data."""
    first, *others = replicas
    changed = [one._replace(tokens=one.tokens.roll(1, 0)) for one in others]
    before, after = (gradients([first, *rest], together) for rest in (others, changed))
    own = len(before) // len(replicas)
    return all(torch.equal(*pair) for pair in zip(before[:own], after[:own], strict=True))


def _alternate(runs: dict[str, Callable[[], None]], repetitions: int, device: str) -> dict[str, float]:
    """Median seconds of every contestant; the first repetition warms up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions + 1):
        for name, run in runs.items():
            taken[name].append(_seconds(run, device))
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def _seconds(run: Callable[[], None], device: str) -> float:
    """Of the processor; on a GPU from an idle device to an idle one."""
    if device == "cpu":
        started = time.process_time()
        run()
        return time.process_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
