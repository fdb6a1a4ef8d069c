"""`conf/model`: cells whose new state is linear in the old one."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Positive, Share
from study.schema.model.base import MODELS, CoreConfig


class LinearConfig(CoreConfig):
    """An architecture that forgets, keeps and turns its state as the inputs say, whatever the state is."""

    linear: ClassVar[bool] = True

    @model_validator(mode="after")
    def _nothing_is_dropped_on_the_way(self) -> "LinearConfig":
        if self.recurrent_dropout:
            raise ValueError(
                f"recurrent_dropout = {self.recurrent_dropout:g} must be 0: the old state of model={self.name} enters "
                "no gate or candidate, it is the memory itself, and what is dropped of it is forgotten for good"
            )
        return self


@MODELS.member("study.models.cells.lru:LRU")
class LRUConfig(LinearConfig):
    """x_t = lambda x_{t-1} + gamma B u_t, complex (Orvieto et al. 2023): lambda starts on a ring."""

    name: Literal["lru"]
    r_min: Share
    r_max: Share
    max_phase: Annotated[float, Field(gt=0, le=2 * math.pi)]

    @model_validator(mode="after")
    def _a_ring(self) -> "LRUConfig":
        if self.r_min >= self.r_max:
            raise ValueError(f"r_min = {self.r_min:g} must be below r_max = {self.r_max:g}: |lambda| is drawn between")
        return self


@MODELS.member("study.models.cells.mingru:MinGRU")
class MinGRUConfig(LinearConfig):
    """h_t = (1 - z_t) h_{t-1} + z_t g(V x_t), z from the input alone (Feng et al. 2024)."""

    name: Literal["mingru"]


@MODELS.member("study.models.cells.minlstm:MinLSTM")
class MinLSTMConfig(LinearConfig):
    """h_t = f'_t h_{t-1} + i'_t g(V x_t), gates from the input alone (Feng et al. 2024)."""

    name: Literal["minlstm"]


@MODELS.member("study.models.cells.selective:Selective")
class SelectiveConfig(LinearConfig):
    """S_t = exp(Delta_t A) S_{t-1} + Delta_t B_t v_t, all but A from the input (Gu & Dao 2023)."""

    name: Literal["selective"]
    state_size: Count
    dt_min: Positive
    dt_max: Positive

    @model_validator(mode="after")
    def _an_interval(self) -> "SelectiveConfig":
        if self.dt_min >= self.dt_max:
            raise ValueError(f"dt_min = {self.dt_min:g} must be below dt_max = {self.dt_max:g}: Delta is drawn between")
        return self


@MODELS.member("study.models.cells.deltanet:DeltaNet")
class DeltaNetConfig(LinearConfig):
    """S_t = S_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T (Schlag et al. 2021)."""

    name: Literal["deltanet"]
    key_size: Count
    negative: bool

    def more_expressive(self) -> str:
        """Eigenvalues down to -1: with these it counts parity; no state is known that layers of it cannot follow."""
        return "" if self.negative else "model.negative=true"
