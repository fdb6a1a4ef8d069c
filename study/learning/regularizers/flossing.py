r"""Gradient flossing: a penalty on Lyapunov exponents that are not near zero (Engelken 2023, arXiv 2312.17306, eq. 8).

    alpha mean over i = 1..m of lambda_i^2,    lambda_i the largest finite-time exponents, mean over sequences

by the QR method of `study.learning.exponents` along the states of the window, the whole of it differentiated: the
Jacobians of all steps, the states they are taken at, and the QR decompositions. An exponent near 0 belongs to a
direction along which a gradient neither dies nor explodes.

Departures. (1) The paper trains on this penalty alone for some hundred updates, before training and between its epochs;
here it is added to the loss, for the first `until` updates or every `every`. (2) Products of transposed Jacobians,
backwards in time, which have the same singular values (`study.probes.lyapunov`). (3) The paper follows one sequence,
its first 10 steps and the first tenth of the directions' steps left out; here see `exponents_by_qr`.

A network that loses a direction completely (relu units that are off at some step) has an exponent of -inf, which has no
gradient: it is refused where it starts so, and diverges where it becomes so.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from study.errors import ConfigError
from study.learning.exponents import exponents_by_qr, transposed_product
from study.learning.losses import Loss
from study.learning.regularizers.contract import Passage, Regularizer
from study.models import RecurrentModel
from study.models.stepping import evaluating, flatten, step


class Flossing(Regularizer):
    """alpha mean lambda_i^2.

    Args:
        alpha: its weight beside the loss.
        exponents: m, the largest ones.
        steps: of the window, from its start, that are followed at most.
        sequences: followed at most, the first that are long enough.
        every: updates from one penalty to the next, starting with the first.
        until: the last update that may have one.
    """

    def __init__(
        self, alpha: float, exponents: int, steps: int = 100, sequences: int = 8, every: int = 1, until: int = 500
    ):
        self._alpha, self._exponents, self._steps, self._sequences = alpha, exponents, steps, sequences
        self._every, self._until, self._asked = every, until, 0

    def refuse(self, model: RecurrentModel, inputs: Tensor) -> None:
        """See `Regularizer`; a state has as many exponents as dimensions, and those asked for must be finite."""
        with evaluating(model):
            encoded = model.encode(inputs[: self._steps, : self._sequences])
            state = [part.detach().requires_grad_() for part in flatten(model.core.initial_state(encoded))]
            size = sum(part.shape[-1] for part in state)
            if self._exponents > size:
                raise ConfigError(
                    f"regularizer.exponents = {self._exponents}: the state of this model has {size} dimensions, and as "
                    f"many exponents; allowed: 1 to {size}"
                )
            lost = follow(model, encoded, state, self._exponents).isneginf().any()
        if lost:
            raise ConfigError(
                f"regularizer.name = 'flossing': this model loses directions of its state completely, so that of its "
                f"{self._exponents} largest exponents some are -inf and have no gradient; allowed: fewer "
                "regularizer.exponents, units that are never off (such as tanh), or another regularizer"
            )

    def penalty(self, model: RecurrentModel, loss: Loss, passage: Passage) -> Float[Tensor, ""] | None:
        """See `Regularizer`; None between two updates that have one, and after the last."""
        number, self._asked = self._asked, self._asked + 1
        if number % self._every or number >= self._until:
            return None
        with evaluating(model):
            return self._alpha * self._exponents_of(model, passage).square().mean()

    def _exponents_of(self, model: RecurrentModel, passage: Passage) -> Float[Tensor, "sequences exponents"]:
        lengths = passage.steps.lengths
        steps = min(max(1, int(lengths.median())), self._steps)  # half of the sequences are as long
        chosen = (lengths >= steps).nonzero()[: self._sequences, 0].to(passage.steps.inputs.device)
        encoded = model.encode(passage.steps.inputs[:steps, chosen])
        state = model.core.initial_state(encoded)
        if passage.state is not None:
            state = tuple(part[:, chosen] for part in passage.state)
        return follow(model, encoded, [part.detach().requires_grad_() for part in flatten(state)], self._exponents)

    def state_dict(self) -> dict[str, Any]:
        """See `Regularizer`; how often it was asked."""
        return {"asked": self._asked}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Regularizer`."""
        self._asked = state.get("asked", 0)


def follow(
    model: RecurrentModel, encoded: Float[Tensor, "time batch features"], state: list[Tensor], exponents: int
) -> Float[Tensor, "batch exponents"]:
    """The largest exponents along the states that `encoded` takes `state` through, on their graph."""
    entries: list[list[Tensor]] = []
    exits: list[list[Tensor]] = []
    for entering in encoded:
        # Nodes of their own, beside each other: else the way from c to the next step would go through h too.
        entries.append([part.view_as(part) for part in state])
        exits.append(state := step(model.core, entering, entries[-1]))

    def transposed(t: int, directions: Tensor) -> Tensor:
        return transposed_product(exits[t], entries[t], directions, create_graph=True)

    size = sum(part.shape[-1] for part in state)
    return exponents_by_qr(transposed, len(encoded), encoded.shape[1], size, exponents, encoded)[0]
