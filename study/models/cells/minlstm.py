"""Minimal LSTM: h_t = f'_t h_{t-1} + i'_t g(V x_t), gates from the input alone (Feng et al. 2024, arXiv 2410.01201)."""

from torch import Tensor, nn
from torch.nn import functional

from study.models.cells.mingru import positive
from study.models.contract import Activations, State
from study.models.scan import Diagonal


class MinLSTM(Diagonal):
    """f' = f / (f + i) and i' = i / (f + i), f and i each a sigmoid of W x + b: the two shares add up to 1.

    The form of the paper's experiments (its appendix B): the candidate goes through g, see
    `study.models.cells.mingru`, where its section 3.2 has the identity. There is no output gate and no second state.

    Args:
        features: of an input step.
        hidden_size: units.
    """

    stacked = ("forget", "input", "candidate")

    def __init__(self, features: int, hidden_size: int):
        super().__init__(features, hidden_size)
        self.W = nn.Linear(features, 3 * hidden_size)

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; forget gate, input gate and candidate before their activations."""
        return self.W(inputs)

    def terms(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Diagonal`."""
        forget, enter, candidate = inputs.chunk(3, -1)
        balance = _balance(forget, enter)
        return balance.sigmoid(), (-balance).sigmoid() * positive(candidate)

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; the share of the old memory that stays is f'."""
        forget, enter, _ = inputs.chunk(3, -1)
        gates = {"forget": forget.sigmoid(), "input": enter.sigmoid(), "retention": _balance(forget, enter).sigmoid()}
        return Activations(gates=gates, retention_gate="retention")


def _balance(forget: Tensor, enter: Tensor) -> Tensor:
    """The logarithm of f / i, whose sigmoid is f / (f + i), also where both gates are too small for floats."""
    return functional.logsigmoid(forget) - functional.logsigmoid(enter)
