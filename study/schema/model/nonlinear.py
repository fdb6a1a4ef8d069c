"""`conf/model`: cells whose new state is not linear in the old one."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Finite, Positive
from study.schema.model.base import MODELS, KernelConfig, MatrixConfig


@MODELS.member("study.models.cells.elman:Elman")
class ElmanConfig(MatrixConfig, KernelConfig):
    """h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990)."""

    matrix_is_jacobian_at_rest: ClassVar[bool] = True
    name: Literal["elman"]
    activation: Literal["tanh", "relu"]


class ForgetGateConfig(MatrixConfig):
    """A cell c with a forget gate, whose start is the memory at the start.

    Either every unit's gate starts at `forget_bias` (Gers et al. 2000; Jozefowicz et al. 2015), or the units' memories
    are spread over lags up to `chrono` (Tallec & Ollivier 2018); the other key is null.
    """

    forget_bias: Finite | None
    chrono: Annotated[int, Field(ge=3)] | None

    @model_validator(mode="after")
    def _one_start(self) -> "ForgetGateConfig":
        if (self.forget_bias is None) == (self.chrono is None):
            raise ValueError(
                f"forget_bias = {self.forget_bias}, chrono = {self.chrono}: one of them says how the forget gate "
                "starts, the other must be null"
            )
        return self

    def longer_memory(self, horizon: int) -> str:
        """A forget gate that keeps 1 - 1 / horizon of c (Tallec & Ollivier 2018), or more than it does already."""
        if self.chrono is not None:
            return f"model.chrono={max(horizon + 1, 2 * self.chrono)}"
        assert self.forget_bias is not None
        return f"model.forget_bias={more_open(self.forget_bias, horizon)}"


def more_open(bias: float, horizon: int) -> str:
    """The bias of a sigmoid that keeps 1 - 1 / horizon, or more than `bias` does."""
    return f"{max(math.log(max(horizon, 2)), bias + 1):.1f}"


@MODELS.member("study.models.cells.lstm:LSTM")
class LSTMConfig(ForgetGateConfig):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    name: Literal["lstm"]


@MODELS.member("study.models.cells.lstm_variant:LSTMVariant")
class LSTMVariantConfig(ForgetGateConfig, KernelConfig):
    """LSTM with layer norm (Ba et al. 2016), peepholes (Gers & Schmidhuber 2000), coupled gates (Greff et al. 2017)."""

    name: Literal["lstm_variant"]
    layer_norm: bool
    peephole: bool
    coupled: bool

    @model_validator(mode="after")
    def _something_to_normalise(self) -> "LSTMVariantConfig":
        if self.layer_norm and self.hidden_size == 1:
            raise ValueError(
                "layer_norm = True, hidden_size = 1: a single unit less its own mean is 0, so h would be the same "
                "whatever c is; allowed: 2 units or more"
            )
        return self

    @property
    def scale_at_start(self) -> float | None:  # type: ignore[override]
        """See `CoreConfig`; a matrix whose products are normalised has no scale."""
        return None if self.layer_norm else self.gain


@MODELS.member("study.models.cells.gru:GRU")
class GRUConfig(MatrixConfig, KernelConfig):
    """Gated recurrent unit (Cho et al. 2014)."""

    name: Literal["gru"]


@MODELS.member("study.models.cells.mgu:MGU")
class MGUConfig(MatrixConfig, KernelConfig):
    """Minimal gated unit (Zhou et al. 2016)."""

    name: Literal["mgu"]


@MODELS.member("study.models.cells.indrnn:IndRNN")
class IndRNNConfig(KernelConfig):
    """h_t = act(W x_t + u h_{t-1} + b), one recurrent weight a unit (Li et al. 2018); u ~ U(0, `gain`) at the start."""

    name: Literal["indrnn"]
    activation: Literal["tanh", "relu"]
    gain: Positive

    @property
    def scale_at_start(self) -> float:
        """See `CoreConfig`."""
        return self.gain


@MODELS.member("study.models.cells.orthogonal:OrthogonalRNN")
class OrthogonalConfig(KernelConfig):
    """Elman's network with W_hh held orthogonal (Lezcano-Casado & Martinez-Rubio 2019)."""

    name: Literal["orthogonal"]
    activation: Literal["tanh", "relu"]


@MODELS.member("study.models.cells.cornn:CoRNN")
class CoRNNConfig(MatrixConfig, KernelConfig):
    """Driven oscillators, y'' = tanh(W y + U y' + V x + b) - gamma y - epsilon y' (Rusch & Mishra 2021)."""

    name: Literal["cornn"]
    dt: Positive
    gamma: Positive
    epsilon: Positive

    @model_validator(mode="after")
    def _stable_steps(self) -> "CoRNNConfig":
        size = self.dt**2 * self.gamma + 2 * self.dt * self.epsilon
        if size >= 4:
            raise ValueError(
                f"dt = {self.dt}, gamma = {self.gamma}, epsilon = {self.epsilon}: steps this long make the oscillator "
                f"itself grow without bound, whatever the weights; dt^2 gamma + 2 dt epsilon is {size:.3g}, allowed: "
                "below 4"
            )
        return self

    def longer_memory(self, horizon: int) -> str:
        """Shorter steps: all rates are per unit of time."""
        return f"model.dt={self.dt / 2:.2g}"


@MODELS.member("study.models.cells.lem:LEM")
class LEMConfig(MatrixConfig, KernelConfig):
    """Long expressive memory: two states with learnt time steps of up to `dt` (Rusch et al. 2022)."""

    name: Literal["lem"]
    dt: Annotated[float, Field(gt=0, le=1)]

    def longer_memory(self, horizon: int) -> str:
        """Steps that lose some 1 / horizon of the state, half of `dt` being usual; or shorter than they are already."""
        return f"model.dt={min(self.dt / 2, 2 / horizon):.2g}"


@MODELS.member("study.models.cells.slstm:SLSTM")
class SLSTMConfig(MatrixConfig, KernelConfig):
    """LSTM with exponential input gates and a normaliser (Beck et al. 2024, xLSTM)."""

    name: Literal["slstm"]
    forget_gate: Literal["sigmoid", "exponential"]
    forget_bias: Finite

    def longer_memory(self, horizon: int) -> str:
        """See `ForgetGateConfig`."""
        return f"model.forget_bias={more_open(self.forget_bias, horizon)}"
