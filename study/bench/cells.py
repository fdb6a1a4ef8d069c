"""`python -m study.bench.cells`: what every registered cell costs beside torch's LSTM of the same size.

One layer of every cell, its options as in `conf/model`, reads as many features as it has units. The columns:

- parameters; state: numbers carried from step to step, of one sequence;
- FLOPs of one step of one sequence, forward: of matrix products (`torch.utils.flop_counter`, a multiplication and its
  addition are two), and one for every number that a pointwise operation makes (two if it is complex);
- steps a second, forward and backward as in an update, as a share of nn.LSTM's. All cells and nn.LSTM are timed in
  turn, repetition after repetition, by the processor's clock; a ratio is of medians;
- otherwise: the same for a layer with a kernel of this project without it, by torch's layer or step after step, and for
  one with an `unroll` of its own (`study.models.scan`) that is made to go step after step.

The table is Markdown, for `docs/cells.md`.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from study.models import Cell, Core, core_class
from study.models.kernel import Loops
from study.schema.model import MODELS
from study.tracking.provenance import circumstances

SHAPES = ((32, 50), (16, 200))
"""Sequences, steps."""
REFERENCE = "nn.LSTM"
Sequences = Callable[[Tensor], tuple[Tensor, Any]]


class Operations(NamedTuple):
    """Floating-point operations of one step of one sequence."""

    products: int
    pointwise: int


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="*", choices=list(MODELS), default=list(MODELS), metavar="CELL")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(*table(options.cells, options.hidden, options.repetitions), sep="\n")
    about = circumstances([])
    print(f"\nHidden {options.hidden}, {about['cpu']}, {about['versions']}; one thread.")


def table(cells: Sequence[str], hidden: int, repetitions: int, shapes: Sequence[tuple[int, int]] = SHAPES) -> list[str]:
    """Lines of the table, a row for every cell."""
    cores = {name: core_class(name)(hidden, hidden) for name in cells}
    contestants: dict[str, Sequences] = {REFERENCE: nn.LSTM(hidden, hidden)}
    contestants |= {name: core.train_forward for name, core in cores.items()}
    contestants |= {_otherwise(name): way for name, core in cores.items() if (way := _other_way(core)) is not None}
    speeds = [_relative(contestants, hidden, shape, repetitions) for shape in shapes]
    heads = [f"steps/s, {width} x {steps}" for width, steps in shapes]
    columns = ["cell", "parameters", "state", "FLOPs: products", "pointwise", *heads, "otherwise"]
    lines = [f"| {' | '.join(columns)} |", f"|---{'|---:' * (len(columns) - 1)}|"]
    for name, core in cores.items():
        done, parameters = operations(core, hidden), sum(p.numel() for p in core.parameters())
        state = sum(part.numel() for part in core.initial_state(torch.zeros(1, 1, hidden)))
        ratios = [f"{speed[name]:.2f}" for speed in speeds]
        other = ", ".join(f"{speed[_otherwise(name)]:.2f}" for speed in speeds if _otherwise(name) in speed)
        counts = (f"{number:,}" for number in (parameters, state, *done))
        lines.append(f"| {' | '.join([name, *counts, *ratios, other])} |")
    return lines


def operations(core: Core, features: int) -> Operations:
    """Count those of `core.step`, lowest layer, as the difference of eight sequences and sixteen.

    What a step does with parameters alone, and a layer once for all steps, is the same for both.
    """
    counts = [_counted(core, torch.zeros(width, features)) for width in (8, 16)]
    fewer, more = counts
    return Operations((more.products - fewer.products) // 8, (more.pointwise - fewer.pointwise) // 8)


@torch.no_grad()
def _counted(core: Core, inputs: Tensor) -> Operations:
    state = tuple(part[0] for part in core.initial_state(inputs[None]))
    with FlopCounterMode(display=False) as products, _Pointwise() as pointwise:
        core.step(0, inputs, state)
    return Operations(products.get_total_flops(), pointwise.numbers)


class _Pointwise(TorchDispatchMode):
    """Counts the numbers that pointwise operations give."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Let the operation do what it does, and count."""
        result = operation(*args, **(kwargs or {}))
        if torch.Tag.pointwise in operation.tags:
            self.numbers += result.numel() * (2 if result.is_complex() else 1)
        return result


def stepwise(core: Core) -> Core:
    """A copy whose layers go step after step, by `Cell.unroll`."""
    plain = copy.deepcopy(core)
    for cell in _cells(plain):
        cell.unroll = MethodType(Cell.unroll, cell)  # type: ignore[method-assign]
    return plain


def _other_way(core: Core) -> Sequences | None:
    """How it could run a sequence, too; None: it has one way."""
    if any(isinstance(module, Loops) for module in core.modules()):
        return core
    return stepwise(core) if any(type(cell).unroll is not Cell.unroll for cell in _cells(core)) else None


def _cells(core: Core) -> Iterator[Cell]:
    yield from (module for module in core.modules() if isinstance(module, Cell))


def _otherwise(name: str) -> str:
    return f"{name}, otherwise"


def _relative(
    contestants: Mapping[str, Sequences], features: int, shape: tuple[int, int], repetitions: int
) -> dict[str, float]:
    """Steps a second, forward and backward, as a share of the reference's; all in turn."""
    width, steps = shape
    inputs = torch.randn(steps, width, features, requires_grad=True)
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, contestant in contestants.items():
            seconds = _seconds(contestant, inputs)
            if repetition:  # the first is for warming up
                taken[name].append(seconds)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    return {name: medians[REFERENCE] / median for name, median in medians.items()}


def _seconds(contestant: Sequences, inputs: Tensor) -> float:
    started = time.process_time()
    outputs, _ = contestant(inputs)
    outputs.sum().backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
