"""`conf/clip`: what is done to gradients that are too large. Keys are the arguments of the policies."""

from typing import Literal

from study.schema.base import Positive, Strict
from study.schema.own import OwnFile
from study.schema.registry import Registry

CLIPS = Registry("clip")


class ClipConfig(Strict):
    """A gradient-clipping policy."""

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


@CLIPS.member("study.learning.clipping.own:own")
class OwnClipConfig(ClipConfig, OwnFile):
    """The `Clip` in a file of the user's own."""

    name: Literal["own"]
