"""The classifier without memory: how often each class followed each token in training."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Memoryless:
    """p(class | current token) by counting: (n(token, class) + p(class)) / (n(token) + 1).

    What a network must beat to show that it remembers anything. A token never seen is given the classes' own shares.
    """

    def __init__(self, tokens: Int[Tensor, " steps"], classes: Int[Tensor, " steps"], sizes: tuple[int, int]):
        counts = torch.bincount(tokens * sizes[1] + classes, minlength=sizes[0] * sizes[1]).view(sizes).float()
        shares = counts.sum(0) / counts.sum()
        self._table = (counts + shares) / (counts.sum(1, keepdim=True) + 1)

    def __call__(self, tokens: Int[Tensor, "time batch"]) -> Float[Tensor, "time batch classes"]:
        """Probabilities of the classes at every step."""
        return self._table[tokens]
