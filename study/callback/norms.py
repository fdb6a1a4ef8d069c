"""Gradient norms of every update of somebody else's training loop, before and after clipping."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from study.learning.bptt import Update
from study.learning.clipping import Clipped
from study.learning.clipping.contract import norms
from study.training.history import History

BLOCK = 256
"""Updates between two reads from the device."""


class UpdateNorms:
    """Measures the gradients of an update when they are made and when the optimizer takes them; adds it to a history.

    Args:
        optimizer: that steps.
        parameters: whose gradients are measured, in the order of the history's columns.
        history: gets every update.
        on_step: called before every step that takes a gradient.
        on_update: called with the number of updates when one was added.
        at_once: every step ends an update; else `end` does.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: list[nn.Parameter],
        history: History,
        on_step: Callable[[], None],
        on_update: Callable[[int], None],
        at_once: bool,
    ):
        self._parameters, self._history = parameters, history
        self._witness, self._on_update = on_step, on_update
        self._losses: list[Tensor] = []
        self._before: Tensor | None = None
        self._applied: Tensor | None = None
        self._optimizer, self._rate = optimizer, 0.0
        self._hooks = [optimizer.register_step_pre_hook(self._before_step)]
        if at_once:
            self._hooks.append(optimizer.register_step_post_hook(lambda *_: self.end()))

    def close(self) -> None:
        """Measure no more."""
        for hook in self._hooks:
            hook.remove()

    def add_loss(self, loss: Tensor) -> None:
        """Add to the loss of the update that is being made: gradients may be accumulated."""
        self._losses.append(loss.detach())

    @torch.no_grad()
    def made(self) -> None:
        """Measure the gradient as it was made; the last time before a step counts."""
        self._before, self._rate = self._norms(), float(self._optimizer.param_groups[0]["lr"])

    def end(self) -> None:
        """Add the update to the history, if a gradient was made; one that no step took was clipped to nothing."""
        if self._before is None:
            return
        total = torch.linalg.vector_norm(self._before)
        applied = torch.zeros_like(total) if self._applied is None else torch.linalg.vector_norm(self._applied)
        loss = sum(self._losses[1:], start=self._losses[0]) if self._losses else torch.full_like(total, torch.nan)
        self._history.append(Update(loss, Clipped(self._before, total, applied)), self._rate)
        self._losses, self._before, self._applied = [], None, None
        if len(self._history) % BLOCK == 0:
            self._history.flush()
        self._on_update(len(self._history))

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Before a step; where the optimizer makes the gradient by calling a closure, after that."""
        closure = kwargs.get("closure") or next(iter(args[1:]), None)
        if closure is None:
            self._take()
            return None

        def closed() -> Any:
            result = closure()
            self._take()
            return result

        return args[:1], kwargs | {"closure": closed}

    @torch.no_grad()
    def _take(self) -> None:
        if self._before is not None:
            self._applied = self._norms()
            self._witness()

    def _norms(self) -> Float[Tensor, " parameters"]:
        """The norm of every gradient; 0 where the loss does not reach a parameter."""
        gradients = [parameter.grad for parameter in self._parameters]
        there = [number for number, gradient in enumerate(gradients) if gradient is not None]
        found = norms([_dense(gradient) for gradient in gradients if gradient is not None])
        if len(there) == len(gradients):
            return found
        everywhere = found.new_zeros(len(gradients))
        everywhere[there] = found
        return everywhere


def _dense(gradient: Tensor) -> Tensor:
    """The numbers in a gradient, of a sparse one those that are not left out."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient
