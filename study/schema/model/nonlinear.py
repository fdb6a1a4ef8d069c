"""`conf/model`: cells whose new state is not linear in the old one."""

import math
from typing import Annotated, Literal

from pydantic import Field

from study.schema.model.base import MODELS, MatrixConfig


@MODELS.member("study.models.cells.elman:Elman")
class ElmanConfig(MatrixConfig):
    """h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990)."""

    name: Literal["elman"]
    activation: Literal["tanh", "relu"]


@MODELS.member("study.models.cells.lstm:LSTM")
class LSTMConfig(MatrixConfig):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); `forget_bias` as in Gers et al. 2000."""

    name: Literal["lstm"]
    forget_bias: Annotated[float, Field(allow_inf_nan=False)]

    def longer_memory(self, horizon: int) -> str:
        """A forget gate that keeps 1 - 1 / horizon of c (Tallec & Ollivier 2018), or more than it does already."""
        return f"model.forget_bias={max(math.log(max(horizon, 2)), self.forget_bias + 1):.1f}"


@MODELS.member("study.models.cells.gru:GRU")
class GRUConfig(MatrixConfig):
    """Gated recurrent unit (Cho et al. 2014)."""

    name: Literal["gru"]


@MODELS.member("study.models.cells.mgu:MGU")
class MGUConfig(MatrixConfig):
    """Minimal gated unit (Zhou et al. 2016)."""

    name: Literal["mgu"]
