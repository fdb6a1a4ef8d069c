"""Lyapunov exponents by QR (Benettin et al. 1980), of any system; see `study.probes.lyapunov` for a network's.

Differentiable in whatever the products are, which gradient flossing needs (`study.learning.regularizers.flossing`).
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

TRANSIENT = 20
"""Steps left out at either end of a network that data drive: it forgets its state, and directions settle, quickly."""


def exponents_by_qr(
    transposed: Callable[[int, Tensor], Tensor],
    steps: int,
    samples: int,
    size: int,
    exponents: int,
    like: Tensor,
    transient: int = TRANSIENT,
) -> tuple[Float[Tensor, "samples exponents"], int]:
    """Lyapunov exponents of any system whose transposed Jacobians can be applied, and the steps averaged.

    Args:
        transposed: (t, V) -> J_t^T V for V of shape (samples, size, exponents), t from 0.
        steps: of the trajectory.
        samples: trajectories side by side.
        size: dimensions of the state.
        exponents: number of exponents.
        like: a tensor of the type and on the device to work on.
        transient: steps left out at either end, a quarter of all at most: the state reaches its attractor, the
            directions settle.
    """
    draws = torch.Generator().manual_seed(0)  # its own, so that the training's random state stays as it is
    start = torch.randn(size, exponents, generator=draws, dtype=torch.float64)
    directions = torch.linalg.qr(start).Q.expand(samples, -1, -1).to(like.device)
    transient = min(transient, steps // 4)
    total = torch.zeros(samples, exponents, dtype=torch.float64, device=like.device)
    # Backwards, because transposed products are what autograd computes. So the directions start at random at the end:
    # the last steps let them turn towards the leading ones, and are not counted; the first steps of the trajectory are
    # its own transient.
    for t in reversed(range(transient, steps)):
        product = transposed(t, directions.to(like.dtype)).double()
        directions, triangle = torch.linalg.qr(product)
        if t < steps - transient:
            total += triangle.diagonal(dim1=-2, dim2=-1).abs().log()
    kept = steps - 2 * transient
    # QR yields them in order only on average: over a short time neighbours may still be exchanged.
    return (total / kept).sort(-1, descending=True).values, kept


def transposed_product(
    after: Sequence[Tensor],
    before: Sequence[Tensor],
    directions: Float[Tensor, "samples size exponents"],
    create_graph: bool = False,
) -> Float[Tensor, "samples size exponents"]:
    """J^T V of one step of a network, all directions in one backward pass.

    Args:
        after: the parts of the state after the step.
        before: the parts of the state before it, on whose graph they are.
        directions: V.
        create_graph: the product can be differentiated.
    """
    widths = [part.shape[-1] for part in before]
    cotangents = directions.permute(2, 0, 1)
    several = len(cotangents) > 1  # batching costs time, and a single direction does not need it
    given = (cotangents if several else cotangents[0]).split(widths, -1)
    found = torch.autograd.grad(
        after, before, given, is_grads_batched=several, create_graph=create_graph, allow_unused=True
    )
    # A part that nothing is computed from, such as an h that is read out of the memory and not fed back.
    gradients = [torch.zeros_like(to) if taken is None else taken for taken, to in zip(found, given, strict=True)]
    return torch.cat(gradients, -1).view(len(cotangents), *directions.shape[:2]).permute(1, 2, 0)
