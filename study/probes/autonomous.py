r"""Lyapunov exponents of a network that runs on its own predictions (as in pvlachas/RNN-Lyapunov-Spectrum).

    x_{t+1} = F(g(h_t), x_t),   J_t = dF/dx + (dF/d input) (dg/dh) dh/dx

x being the whole state, h its part that the head g reads, F a step of the core. A network trained to predict the next
state of a system, whose predictions are fed back, is a model of that system: its largest exponents should be those of
the system (times the time of a step), whereas driven by the data the same network forgets its state.

The data of a batch lead every sequence onto the attractor; from there the network runs by itself. The directions of the
QR method need longer to settle here than in a network that forgets: a quarter of the run is left out at either end.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.exponents import exponents_by_qr, transposed_product
from study.models import RecurrentModel
from study.models.stepping import evaluating, flatten, step

Predict = Callable[[Tensor], Tensor]
"""From the outputs of the head to predictions, such as `Loss.predict`."""


def autonomous_exponents(
    model: RecurrentModel,
    inputs: Float[Tensor, "time batch features"],
    predict: Predict,
    steps: int,
    exponents: int | None,
) -> Float[Tensor, "batch exponents"]:
    """Finite-time exponents of every sequence, nats a step, largest first.

    Args:
        model: measured as it is, without dropout.
        inputs: of the task, from the initial state on; what is predicted at a step has to be what enters at the next.
        predict: what is fed back, from the outputs of the head.
        steps: that the network runs on its own predictions.
        exponents: number of exponents, the largest ones; None: all.
    """
    with evaluating(model):
        with torch.no_grad():
            states = [flatten(model.core(model.encode(inputs))[1])]
            while len(states) < steps:
                states.append(_follow(model, predict, states[-1]))

        def transposed(t: int, directions: Tensor) -> Tensor:
            before = [part.requires_grad_() for part in states[t]]
            return transposed_product(_follow(model, predict, before), before, directions)

        size = sum(part.shape[-1] for part in states[0])
        followed = min(exponents or size, size)
        return exponents_by_qr(transposed, steps, inputs.shape[1], size, followed, inputs, transient=steps)[0]


def _follow(model: RecurrentModel, predict: Predict, state: Sequence[Tensor]) -> list[Tensor]:
    """The state after one step on the prediction that follows from `state`; in the order of `flatten`."""
    top = state[-len(model.core.state_parts)]
    return step(model.core, model.encode(predict(model.decode(top[None])))[0], state)
