"""`conf/probe`: which probes run beside the gradient norms that are always kept, and when."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from study.schema.base import Count, Strict
from study.schema.registry import Registry


class ProbeOptions(Strict):
    """The options of one probe."""

    def at(self, horizon: int) -> "ProbeOptions":
        """The same for a task that needs the past so many steps back."""
        return self


class FlowConfig(ProbeOptions):
    """Gradient flow by lag, up to `max_lag` or the task's horizon, over at least `samples` positions of sequences."""

    max_lag: Annotated[int, Field(ge=2)]
    samples: Count

    def at(self, horizon: int) -> "ProbeOptions":
        """See `ProbeOptions`; the verdict needs the flow at the horizon, however far back that is."""
        return self.model_copy(update={"max_lag": max(self.max_lag, horizon)})


class LyapunovConfig(ProbeOptions):
    """The largest `exponents` (null: all), along at most so many `sequences`.

    An exponent is near zero if it is within 1 / `horizon` (null: the task's). `autonomous`: those of the network that
    runs on its own predictions too, for so many steps.
    """

    exponents: Count | None
    sequences: Count
    horizon: Count | None
    autonomous: Annotated[int, Field(ge=4)] | None

    def at(self, horizon: int) -> "ProbeOptions":
        """See `ProbeOptions`."""
        return self.model_copy(update={"horizon": self.horizon or horizon})


class TruncationConfig(ProbeOptions):
    """Bias of truncated gradients for every `k2`, on the whole batch and on `parts` of it."""

    k2: Annotated[list[Count], Field(min_length=1)]
    parts: Count


class GeometryConfig(ProbeOptions):
    """One more update, tried on a copy; the noise scale from `parts` of the batch (null: only what costs little)."""

    parts: Annotated[int, Field(ge=2)] | None


class SensitivityConfig(ProbeOptions):
    """Sensitivity of the state to its parameters, along `draws` random directions, of at most so many `sequences`."""

    draws: Count
    sequences: Count


class SharpnessConfig(ProbeOptions):
    """The largest curvature of the loss, from so many products with the Hessian."""

    iterations: Annotated[int, Field(ge=2)]


class AlignmentConfig(ProbeOptions):
    """Cosine of the gradient's terms of lags below `split` (null: half the task's horizon) with all others."""

    split: Count | None
    sequences: Count

    def at(self, horizon: int) -> "ProbeOptions":
        """See `ProbeOptions`."""
        return self.model_copy(update={"split": self.split or max(1, horizon // 2)})


PROBES = Registry("probe")
"""Every probe by its key in `conf/probe`, in the order of the tables. A probe without options is switched by a bool."""

PROBES.enter("flow", FlowConfig, "study.probes.flow:Flow")
PROBES.enter("lyapunov", LyapunovConfig, "study.probes.lyapunov:Lyapunov")
PROBES.enter("backpropagated", bool, "study.probes.backpropagated:Backpropagated")
PROBES.enter("truncation", TruncationConfig, "study.probes.truncation:Truncation")
PROBES.enter("weights", bool, "study.probes.weights:Weights")
PROBES.enter("saturation", bool, "study.probes.saturation:Saturation")
PROBES.enter("geometry", GeometryConfig, "study.probes.geometry:Geometry")
PROBES.enter("sensitivity", SensitivityConfig, "study.probes.sensitivity:Sensitivity")
PROBES.enter("sharpness", SharpnessConfig, "study.probes.sharpness:Sharpness")
PROBES.enter("alignment", AlignmentConfig, "study.probes.alignment:Alignment")


class Rhythm(Strict):
    """When probes measure: always at the end of a run, and before its first update if `start`.

    Between them after every `every` updates, and `per_decade` times in every decade of updates.
    """

    start: bool
    every: Count | None
    per_decade: Count | None


if TYPE_CHECKING:

    class ProbeConfig(Rhythm):
        """For the type checker: the plans that other modules read."""

        flow: FlowConfig | None
        lyapunov: LyapunovConfig | None
        truncation: TruncationConfig | None

else:
    _plans: dict[str, Any] = {name: (PROBES.config(name) | None, None) for name in PROBES}
    ProbeConfig = create_model("ProbeConfig", __base__=Rhythm, __module__=__name__, **_plans)
    ProbeConfig.__doc__ = "When probes measure, and which; null, false or absent: not measured."
