"""`conf/model`: the recurrent core, its size and its start."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from study.schema.base import Count, Positive, Share, Strict
from study.schema.registry import Registry

MODELS = Registry("model")


class CoreConfig(Strict):
    """What every architecture states.

    `bidirectional`: a second network of the same kind and size reads from the last step to the first, and the outputs
    see both (Schuster & Paliwal 1997). `linear`: the state after a step is linear in the state before it.
    """

    linear: ClassVar[bool] = False
    of_the_model: ClassVar[frozenset[str]] = frozenset({"name", "bidirectional"})
    """Keys that the model around the core takes; all others are arguments of the core."""
    name: str
    hidden_size: Count
    num_layers: Count
    bidirectional: bool
    dropout: Share

    @property
    def scale_at_start(self) -> float | None:
        """Of the recurrent matrices; None: there are none, or it is no option."""
        return None

    def longer_memory(self, horizon: int) -> str:
        """Overrides for a network whose gradients are more likely to last `horizon` steps."""
        return "model=lstm"


class MatrixConfig(CoreConfig):
    """An architecture whose state goes through square matrices W_hh from step to step.

    `recurrent_init` draws them: `orthogonal` (each gate's block, times `gain`), or `uniform` in
    +-gain / sqrt(hidden_size), torch's own start.
    """

    recurrent_init: Literal["orthogonal", "uniform"]
    gain: Positive

    @property
    def scale_at_start(self) -> float:
        """See `CoreConfig`."""
        return self.gain


@MODELS.member("study.models.elman:Elman")
class ElmanConfig(MatrixConfig):
    """h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990)."""

    name: Literal["elman"]
    activation: Literal["tanh", "relu"]


@MODELS.member("study.models.lstm:LSTM")
class LSTMConfig(MatrixConfig):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); `forget_bias` as in Gers et al. 2000."""

    name: Literal["lstm"]
    forget_bias: Annotated[float, Field(allow_inf_nan=False)]

    def longer_memory(self, horizon: int) -> str:
        """A forget gate that keeps 1 - 1 / horizon of c (Tallec & Ollivier 2018), or more than it does already."""
        return f"model.forget_bias={max(math.log(max(horizon, 2)), self.forget_bias + 1):.1f}"


@MODELS.member("study.models.gru:GRU")
class GRUConfig(MatrixConfig):
    """Gated recurrent unit (Cho et al. 2014)."""

    name: Literal["gru"]


@MODELS.member("study.models.mgu:MGU")
class MGUConfig(MatrixConfig):
    """Minimal gated unit (Zhou et al. 2016)."""

    name: Literal["mgu"]
