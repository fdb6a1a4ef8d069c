"""`conf/schedule`: how the learning rate changes while a run trains. Keys are the arguments of the schedules."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from study.schema.base import Count, Share, Strict
from study.schema.registry import Registry

SCHEDULES = Registry("schedule")

Factor = Annotated[float, Field(gt=0, lt=1)]


class RateScheduleConfig(Strict):
    """What `optimizer.lr` is multiplied with, update by update; after a linear warm-up over so many updates.

    Attributes:
        needs_updates: whether it spans the whole run, whose number of updates must then be known.
        after_validations: whether it depends on the loss of validations, and so on when they are made.
    """

    needs_updates: ClassVar[bool] = False
    after_validations: ClassVar[bool] = False
    name: str
    warmup: Annotated[int, Field(ge=0)]


@SCHEDULES.member("study.learning.schedules.constant:ConstantRate")
class ConstantRateConfig(RateScheduleConfig):
    """The same rate for every update."""

    name: Literal["constant"]


@SCHEDULES.member("study.learning.schedules.step:StepRate")
class StepRateConfig(RateScheduleConfig):
    """`factor` times the rate after every `every` updates."""

    name: Literal["step"]
    factor: Factor
    every: Count


@SCHEDULES.member("study.learning.schedules.plateau:PlateauRate")
class PlateauRateConfig(RateScheduleConfig):
    """`factor` times the rate when the validation loss has not improved in more than `patience` validations."""

    after_validations: ClassVar[bool] = True
    name: Literal["plateau"]
    factor: Factor
    patience: Annotated[int, Field(ge=0)]


@SCHEDULES.member("study.learning.schedules.cosine:CosineRate")
class CosineRateConfig(RateScheduleConfig):
    """Half a cosine from the full rate to `floor` of it, over the run (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

    needs_updates: ClassVar[bool] = True
    name: Literal["cosine"]
    floor: Share
