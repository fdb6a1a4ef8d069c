"""`conf/model`: the recurrent core, its size and its start."""

from typing import Annotated, Literal

from pydantic import Field

from study.schema.base import Count, Positive, Share, Strict
from study.schema.registry import Registry

MODELS = Registry("model")


class CoreConfig(Strict):
    """What every architecture states.

    `recurrent_init` draws W_hh: `orthogonal` (each gate's block, times `gain`), or `uniform` in
    +-gain / sqrt(hidden_size), torch's own start. `bidirectional`: a second network of the same kind and size reads
    from the last step to the first, and the outputs see both (Schuster & Paliwal 1997).
    """

    name: str
    hidden_size: Count
    num_layers: Count
    bidirectional: bool
    dropout: Share
    recurrent_init: Literal["orthogonal", "uniform"]
    gain: Positive


@MODELS.member("study.models.elman:Elman")
class ElmanConfig(CoreConfig):
    """h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990)."""

    name: Literal["elman"]
    activation: Literal["tanh", "relu"]


@MODELS.member("study.models.lstm:LSTM")
class LSTMConfig(CoreConfig):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); `forget_bias` as in Gers et al. 2000."""

    name: Literal["lstm"]
    forget_bias: Annotated[float, Field(allow_inf_nan=False)]


@MODELS.member("study.models.gru:GRU")
class GRUConfig(CoreConfig):
    """Gated recurrent unit (Cho et al. 2014)."""

    name: Literal["gru"]
