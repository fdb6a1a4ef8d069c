"""The strict base of every config group, and the marks that say what a key decides."""

from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
LARGEST = 1e30
"""Of a number: torch refuses in the middle of a training what float32 cannot hold, as lr / (1 - beta) in Adam."""


def _held(value: float) -> float:
    if abs(value) > LARGEST:
        raise ValueError(
            f"should be between -{LARGEST:g} and {LARGEST:g}: beyond that float32 may overflow in training"
        )
    return value


Finite = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_held)]
NotNegative = Annotated[Finite, Field(ge=0)]
Positive = Annotated[Finite, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Decides(Enum):
    """What a key decides, as a mark on its field: `seed: Annotated[int, Decides.SEED]`.

    A key without a mark decides the bits of the training: runs that differ in it are runs of different arms. A mark
    on a group holds for all its keys that have no mark of their own. `study.schema.identity` reads the marks.
    """

    SEED = "the bits of the training, but not the arm: every arm is trained with the same seeds"
    DATA = "the bits of the training by the content of the file it names, which may be moved"
    ROUNDING = "the last bits of the training, as another processor does too: runs of one arm may differ in it"
    RECORD = "what is measured and kept of a run, no bit of its training"
    HERE = "where things lie and what is shown on this machine; no part of a run's record"


class Strict(BaseModel):
    """A config group: unknown keys, wrong types and values out of range are errors; values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """The one form of values that train the same run: a key without effect is left out, a synonym replaced.

        Args:
            values: of the group's keys that decide the training, as texts; null is `None`.
        """
        return values


def reason(message: str) -> str:
    """What one of pydantic's messages says, without its own preface."""
    return message.removeprefix("Value error, ").replace("Input should", "should")


def group_classes(annotation: Any) -> Iterator[type[Strict]]:
    """The config classes in a type: of a config group those of all its options."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from group_classes(argument)


def option_names(group: type[Strict]) -> tuple[str, ...]:
    """The values that `name` may have in a config class; none where it has no `name`."""
    return getattr(group.model_fields["name"].annotation, "__args__", ()) if "name" in group.model_fields else ()
