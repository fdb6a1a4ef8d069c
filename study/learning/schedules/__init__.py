"""Schedules of the learning rate, one a file.

The contract is `study.learning.schedules.contract`, the names are `conf/schedule`.
"""

from study.learning.schedules.contract import RateSchedule
from study.schema.schedule import SCHEDULES, RateScheduleConfig

__all__ = ["RateSchedule", "build"]


def build(config: RateScheduleConfig) -> RateSchedule:
    """The schedule a config names; its other keys are the arguments of the constructor."""
    schedule: RateSchedule = SCHEDULES.implementation(config.name)(**config.model_dump(exclude={"name"}))
    return schedule
