"""The classifier without memory: how often each class followed each token in training."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from study.data.corpora.tokens import BLOCK


class Memoryless:
    """p(class | token) = (n(token, class) + p(class)) / (n(token) + 1), p(class) = (n(class) + 1) / (n + classes).

    A network that does no better shows no memory. A token never seen in training gets the shares of the classes.

    Args:
        tokens: of the training part.
        classes: what followed each.
        sizes: how many different tokens and classes there are.
    """

    def __init__(
        self,
        tokens: UInt8[Tensor, " steps"] | Int[Tensor, " steps"],
        classes: UInt8[Tensor, " steps"] | Int[Tensor, " steps"],
        sizes: tuple[int, int],
    ):
        blocks = zip(tokens.split(BLOCK), classes.split(BLOCK), strict=True)
        numbered = (token.long() * sizes[1] + label.long() for token, label in blocks)
        pairs, counts = _count(numbered, sizes[0] * sizes[1])
        # Sparse: a table of all pairs of words would not fit into memory.
        places = torch.stack([pairs // sizes[1], pairs % sizes[1]])
        self._counts = torch.sparse_coo_tensor(places, counts.float(), sizes, is_coalesced=True, check_invariants=False)
        self._seen = torch.zeros(sizes[0]).index_add_(0, places[0], counts.float())
        shown = torch.zeros(sizes[1], dtype=torch.int64).index_add_(0, places[1], counts)
        self._shares = (shown + 1) / (len(classes) + sizes[1])

    def __call__(self, tokens: Int[Tensor, "time batch"]) -> Float[Tensor, "time batch classes"]:
        """Probabilities of the classes at every step."""
        different, places = tokens.unique(return_inverse=True)
        counts = self._counts.index_select(0, different).to_dense()
        return ((counts + self._shares) / (self._seen[different, None] + 1))[places]


def _count(
    blocks: Iterable[Int[Tensor, " steps"]], size: int
) -> tuple[Int[Tensor, " different"], Int[Tensor, " different"]]:
    """Every different number below `size` in all blocks, ascending, and how often it occurs."""
    if size > BLOCK:
        found = [block.unique(return_counts=True) for block in blocks]
        numbers, places = torch.cat([numbers for numbers, _ in found]).unique(return_inverse=True)
        return numbers, torch.zeros_like(numbers).index_add_(0, places, torch.cat([counts for _, counts in found]))
    counts = sum((block.bincount(minlength=size) for block in blocks), torch.zeros(size, dtype=torch.int64))
    numbers = counts.nonzero()[:, 0]
    return numbers, counts[numbers]
