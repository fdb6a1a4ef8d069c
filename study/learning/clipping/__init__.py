"""Clip policies: what is done to gradients before an update, one a file.

The contract is `study.learning.clipping.contract`, the names are `conf/clip`.
"""

from study.learning.clipping.contract import Clip, Clipped
from study.schema.clip import CLIPS, ClipConfig

__all__ = ["Clip", "Clipped", "build"]


def build(config: ClipConfig) -> Clip:
    """The policy a config names; its other keys are the arguments of the constructor."""
    clip: Clip = CLIPS.implementation(config.name)(**config.model_dump(exclude={"name"}))
    return clip
