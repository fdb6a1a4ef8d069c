"""The classifier without memory: how often each class followed each token in training."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Memoryless:
    """p(class | token) = (n(token, class) + p(class)) / (n(token) + 1), p(class) = (n(class) + 1) / (n + classes).

    What a network must beat to show that it remembers anything. A token never seen is given the classes' own shares.
    Only pairs that occur are kept: a table of all would not fit for words.
    """

    def __init__(self, tokens: Int[Tensor, " steps"], classes: Int[Tensor, " steps"], sizes: tuple[int, int]):
        pairs, counts = (tokens * sizes[1] + classes).unique(return_counts=True)
        places = torch.stack([pairs // sizes[1], pairs % sizes[1]])
        self._counts = torch.sparse_coo_tensor(places, counts.float(), sizes, is_coalesced=True, check_invariants=False)
        self._seen = torch.bincount(tokens, minlength=sizes[0]).float()
        self._shares = (torch.bincount(classes, minlength=sizes[1]) + 1) / (len(classes) + sizes[1])

    def __call__(self, tokens: Int[Tensor, "time batch"]) -> Float[Tensor, "time batch classes"]:
        """Probabilities of the classes at every step."""
        different, places = tokens.unique(return_inverse=True)
        counts = self._counts.index_select(0, different).to_dense()
        return ((counts + self._shares) / (self._seen[different, None] + 1))[places]
