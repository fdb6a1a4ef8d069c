"""Word problems (Merrill, Petty & Sabharwal 2024, arXiv 2404.08819, section 5): the product of all elements so far.

At every step comes an element x_t of a finite group of n, each with equal probability; the class to name is the product
x_1 x_2 ... x_t. For permutations the left factor acts first: (a b)(i) = b(a(i)); for Z_m it is the sum modulo m.
Elements are numbered: permutations in the order of their images, sums by themselves; 0 is the identity.

Which recurrences can follow the product at every length depends on the group: Z_m needs a state that can turn (Grazzi
et al. 2024, arXiv 2411.12537), S_3 steps that do not commute, and A_5 and S_5, whose word problems are complete for
NC1, what layers that are linear and diagonal in their state cannot do at any fixed depth unless TC0 = NC1 (Merrill et
al.).

From the current element alone this much is known: at the first of T steps it is the answer, at all others every class
is equally likely. So the best guess gives x_t itself the probability 1/T + (1 - 1/T) / n, and is right that often.
"""

from itertools import permutations

import torch
from jaxtyping import Int
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingGroupConfig as Config
from study.tasks.contract import Batch
from study.tasks.synthetic import DrawnClasses


class Group(DrawnClasses):
    """Tokens and classes are the numbers of the elements."""

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._seq_len, self._table = config.seq_len, multiplication(config.group)
        self.targets = len(self._table)
        self.inputs = Inputs(self.targets, tokens=True)

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`."""
        elements = torch.randint(self.targets, (self._seq_len, width), generator=draws)
        return Batch(elements, products(self._table, elements))

    def baseline(self, batch: Batch) -> Tensor:
        """The element itself, with the little more that the first step makes it worth."""
        first = 1 / self._seq_len
        return first * one_hot(batch.inputs, self.targets) + (1 - first) / self.targets


def multiplication(group: str) -> Int[Tensor, "order order"]:
    """The numbers of all products a b: row a, column b.

    Args:
        group: `s<k>` all permutations of k things, `a<k>` the even ones, `z<m>` the sums modulo m.
    """
    kind, size = group[0], int(group[1:])
    if kind == "z":
        return (torch.arange(size)[:, None] + torch.arange(size)) % size
    elements = torch.tensor([p for p in permutations(range(size)) if kind == "s" or _even(p)])
    codes = elements @ size ** torch.arange(size - 1, -1, -1)  # ascending: permutations come in the order of images
    first, then = elements[:, None], elements[None].expand(len(elements), -1, -1)
    both = then.gather(2, first.expand(-1, len(elements), -1))
    return torch.searchsorted(codes, both @ size ** torch.arange(size - 1, -1, -1))


def _even(permutation: tuple[int, ...]) -> bool:
    pairs = ((a, b) for i, a in enumerate(permutation) for b in permutation[i + 1 :])
    return sum(a > b for a, b in pairs) % 2 == 0


def products(
    table: Int[Tensor, "order order"], elements: Int[Tensor, "time batch"]
) -> Int[Tensor, "time batch"]:  # fmt: skip
    """The products of the first 1, 2, ... elements, in log2(time) steps over whole tensors (Hillis & Steele 1986)."""
    found, span = elements, 1
    while span < len(found):  # found[t]: the product of the last `span` elements up to t
        found = torch.cat([found[:span], table[found[:-span], found[span:]]])
        span *= 2
    return found
