"""`conf/clip`: what is done to gradients that are too large. Keys are the arguments of the policies."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from study.schema.base import Count, Finite, Positive, Strict
from study.schema.own import OwnFile
from study.schema.registry import Registry

CLIPS = Registry("clip")
Percentile = Annotated[float, Field(gt=0, lt=100)]
Kept = Annotated[float, Field(gt=0, lt=1)]
"""What an exponential moving average keeps of itself in an update."""


class ClipConfig(Strict):
    """A gradient-clipping policy. `of_the_flow`: it acts on what flows back from step to step, and on nothing else."""

    of_the_flow: ClassVar[bool] = False
    name: str


@CLIPS.member("study.learning.clipping.none:NoClip")
class NoClipConfig(ClipConfig):
    """Gradients are used as they are."""

    name: Literal["none"]


@CLIPS.member("study.learning.clipping.norm:ClipNorm")
class ClipNormConfig(ClipConfig):
    """g <- g min(1, threshold / ||g||), over all parameters together (Pascanu et al. 2013)."""

    name: Literal["norm"]
    threshold: Positive


@CLIPS.member("study.learning.clipping.value:ClipValue")
class ClipValueConfig(ClipConfig):
    """Every component of the gradient clamped to [-threshold, threshold] (Mikolov 2012)."""

    name: Literal["value"]
    threshold: Positive


@CLIPS.member("study.learning.clipping.per_parameter:ClipPerParameter")
class ClipPerParameterConfig(ClipConfig):
    """g_i <- g_i min(1, threshold / ||g_i||), the gradient of every parameter by itself."""

    name: Literal["per_parameter"]
    threshold: Positive


@CLIPS.member("study.learning.clipping.percentile:ClipPercentile")
class ClipPercentileConfig(ClipConfig):
    """By the norm, at a percentile of the norms of the first `warmup` updates, which are not clipped."""

    name: Literal["percentile"]
    percentile: Percentile
    warmup: Count


@CLIPS.member("study.learning.clipping.autoclip:AutoClip")
class AutoClipConfig(ClipConfig):
    """By the norm, at a percentile of all norms so far (Seetharaman et al. 2020)."""

    name: Literal["autoclip"]
    percentile: Percentile


@CLIPS.member("study.learning.clipping.zclip:ZClip")
class ZClipConfig(ClipConfig):
    """By the norm, where it lies `z` deviations above its running mean; `maximum` holds always (Kumar et al. 2025)."""

    name: Literal["zclip"]
    alpha: Kept
    z: Positive
    maximum: Positive
    warmup: Count


@CLIPS.member("study.learning.clipping.adagc:AdaGC")
class AdaGCConfig(ClipConfig):
    """Every tensor at `relative` times the running mean of its own clipped norms (Wang et al. 2025)."""

    name: Literal["adagc"]
    relative: Annotated[Finite, Field(gt=1)]
    absolute: Positive
    beta: Kept
    warmup: Count


@CLIPS.member("study.learning.clipping.agc:AGC")
class AGCConfig(ClipConfig):
    """||g_u|| <= ratio max(||w_u||, eps) for every unit u (Brock et al. 2021)."""

    name: Literal["agc"]
    ratio: Positive
    eps: Positive


@CLIPS.member("study.learning.clipping.skip:SkipNonFinite")
class SkipNonFiniteConfig(ClipConfig):
    """A gradient that is not finite becomes 0; the run diverged where more than `patience` in a row are not."""

    name: Literal["skip"]
    patience: Count


@CLIPS.member("study.learning.clipping.per_step:ClipPerStep")
class ClipPerStepConfig(ClipConfig):
    """At every step of the backward pass, dL/dx_t of every sequence to norm `threshold` (after Graves 2013)."""

    of_the_flow = True
    name: Literal["per_step"]
    threshold: Positive


@CLIPS.member("study.learning.clipping.own:own")
class OwnClipConfig(ClipConfig, OwnFile):
    """The `Clip` in a file of the user's own."""

    name: Literal["own"]
