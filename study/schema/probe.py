"""`conf/probe`: which measures are taken beside the always-on gradient norms, and when."""

from typing import Annotated

from pydantic import Field

from study.schema.base import Count, Strict


class Flow(Strict):
    """Gradient flow by lag, up to `max_lag` or the task's horizon, over at least `samples` positions of sequences."""

    max_lag: Annotated[int, Field(ge=2)]
    samples: Count


class Lyapunov(Strict):
    """The largest `exponents` (null: all) along at most so many `sequences`."""

    exponents: Count | None
    sequences: Count


class Truncation(Strict):
    """Bias of truncated gradients for every `k2`, on the whole batch and on `parts` of it."""

    k2: Annotated[list[Count], Field(min_length=1)]
    parts: Count


class Geometry(Strict):
    """One more update, rehearsed; the noise scale from `parts` of the batch (null: only what costs little)."""

    parts: Annotated[int, Field(ge=2)] | None


class Probe(Strict):
    """When measures are taken, and which; null or false: not taken."""

    every: Count | None
    per_decade: Count | None
    flow: Flow | None
    lyapunov: Lyapunov | None
    backpropagated: bool
    truncation: Truncation | None
    weights: bool
    saturation: bool
    geometry: Geometry | None
