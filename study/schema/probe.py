"""`conf/probe`: which probes run beside the gradient norms that are always kept, and when."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from study.schema.base import Count, Strict
from study.schema.registry import Registry


class FlowConfig(Strict):
    """Gradient flow by lag, up to `max_lag` or the task's horizon, over at least `samples` positions of sequences."""

    max_lag: Annotated[int, Field(ge=2)]
    samples: Count


class LyapunovConfig(Strict):
    """The largest `exponents` (null: all), along at most so many `sequences`."""

    exponents: Count | None
    sequences: Count


class TruncationConfig(Strict):
    """Bias of truncated gradients for every `k2`, on the whole batch and on `parts` of it."""

    k2: Annotated[list[Count], Field(min_length=1)]
    parts: Count


class GeometryConfig(Strict):
    """One more update, tried on a copy; the noise scale from `parts` of the batch (null: only what costs little)."""

    parts: Annotated[int, Field(ge=2)] | None


PROBES = Registry("probe")
"""Every probe by its key in `conf/probe`, in the order of the tables. A probe without options is switched by a bool."""

PROBES.enter("flow", FlowConfig, "study.probes.flow:Flow")
PROBES.enter("lyapunov", LyapunovConfig, "study.probes.lyapunov:Lyapunov")
PROBES.enter("backpropagated", bool, "study.probes.backpropagated:Backpropagated")
PROBES.enter("truncation", TruncationConfig, "study.probes.truncation:Truncation")
PROBES.enter("weights", bool, "study.probes.weights:Weights")
PROBES.enter("saturation", bool, "study.probes.saturation:Saturation")
PROBES.enter("geometry", GeometryConfig, "study.probes.geometry:Geometry")


class Rhythm(Strict):
    """When probes measure: after every `every` updates, and `per_decade` times in every decade of updates."""

    every: Count | None
    per_decade: Count | None


if TYPE_CHECKING:

    class ProbeConfig(Rhythm):
        """For the type checker: the two plans that other modules read."""

        flow: FlowConfig | None
        truncation: TruncationConfig | None

else:
    _plans: dict[str, Any] = {name: (PROBES.config(name) | None, None) for name in PROBES}
    ProbeConfig = create_model("ProbeConfig", __base__=Rhythm, __module__=__name__, **_plans)
    ProbeConfig.__doc__ = "When probes measure, and which; null, false or absent: not measured."
