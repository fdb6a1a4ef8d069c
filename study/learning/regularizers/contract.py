"""The contract of every regularizer: a penalty on the network, whose gradient joins that of the loss.

It is asked once an update, after the loss was backpropagated and before gradients are clipped, and looks at the window
that was learnt from (of several windows of one update, at the last). It sees the network without dropout, reads
nothing back but lengths of sequences, draws from no generator of torch, and changes nothing but gradients and its own
state. `study.testing.regularizers` holds these claims.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor

from study.learning.losses import Loss
from study.models import RecurrentModel, State
from study.tasks.contract import Batch

PENALTY = "loss/penalty"
"""Name of the number that every update has where there is a regularizer: what was added to the loss."""


class Passage(NamedTuple):
    """What an update learnt from.

    Attributes:
        steps: all steps of the window, in their order.
        state: before the first of them, detached; None: the initial state.
        first: index of the first step whose loss counts.
    """

    steps: Batch
    state: State | None
    first: int


class Regularizer(ABC):
    """A penalty.

    Attributes:
        acts: whether there is a penalty at all.
    """

    acts: ClassVar[bool] = True

    @property
    def records(self) -> tuple[str, ...]:
        """Names of the numbers it adds to those of every update."""
        return (PENALTY,) if self.acts else ()

    def refuse(self, model: RecurrentModel, inputs: Tensor) -> None:
        """Refuse a model that it has nothing to do for, before anything is trained.

        Args:
            model: freshly drawn.
            inputs: of a batch.

        Raises:
            ConfigError: naming the key, and what is allowed.
        """
        del model, inputs

    @abstractmethod
    def penalty(self, model: RecurrentModel, loss: Loss, passage: Passage) -> Float[Tensor, ""] | None:
        """What is added to the loss, on its graph, with its weight; None: nothing at this update."""

    def add_gradient(self, model: RecurrentModel, loss: Loss, passage: Passage) -> Float[Tensor, ""]:
        """Add the gradient of the penalty to the parameters' `grad`; return the penalty."""
        penalty = self.penalty(model, loss, passage)
        if penalty is None:
            return next(model.parameters()).new_zeros(())
        if penalty.requires_grad:  # else no parameter of this network can change it: a single step has no Jacobians
            penalty.backward()
        return penalty.detach()

    def state_dict(self) -> dict[str, Any]:
        """All that decides what it does from here on, in tensors and plain values; a checkpoint keeps it."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore from a dict returned by `state_dict`; an empty one is that of a start."""
        del state
