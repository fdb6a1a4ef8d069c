"""What every task states."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from study.schema.base import Count, Decides, Strict, reason
from study.schema.registry import Registry
from study.standing import Direction

TASKS = Registry("task")

Kind = Literal["regression", "binary", "multiclass"]
Steps = Annotated[int, Field(ge=2)]


class TaskConfig(Strict):
    """How many sequences run side by side, and how far back the task needs the past.

    `kind` is what the targets are: it decides which losses fit. `direction`: whether less or more of the measure that
    ranks runs is better. `horizon` is the lag in steps over which the task needs the past; the verdict asks for the
    gradient there. `stream`: batches continue each other, so that a truncation may reach back across their borders.
    `length_keys` decide how many steps a batch has. `asks_once`: losses are taken at the last step of a sequence alone.
    `tracks_state`: every answer depends on a state that all steps before it may have changed; a recurrence that cannot
    follow it fails, however well its gradients flow. `feeds_back`: what is predicted at a step is what enters at the
    next, so that a network can run on its own predictions.
    """

    kind: ClassVar[Kind]
    direction: ClassVar[Direction] = "minimize"
    family: ClassVar[Literal["forecasting", "language", "labelling"]]
    stream: ClassVar[bool] = False
    length_keys: ClassVar[tuple[str, ...]] = ("seq_len",)
    asks_once: ClassVar[bool] = False
    tracks_state: ClassVar[bool] = False
    feeds_back: ClassVar[bool] = False
    name: str
    batch_size: Count
    horizon: Annotated[Count, Decides.RECORD]

    @classmethod
    def sequence_steps(cls, values: Mapping[str, Any]) -> int | None:
        """Steps of the longest sequence, of a stream those of a batch; None where only the data say.

        Args:
            values: of the task's keys, as numbers or texts.
        """
        return int(values["seq_len"]) if "seq_len" in values else None

    @classmethod
    def asked_steps(cls, values: Mapping[str, Any]) -> int | None:
        """Steps of a sequence, or of a stream's batch, at which losses are taken; None where only the data say."""
        return 1 if cls.asks_once else cls.sequence_steps(values)

    @property
    def further_lengths(self) -> Sequence[int]:
        """Lengths at which a run is tested beside its own."""
        return ()

    @property
    def horizon_known(self) -> bool:
        """Whether the task is certain to need the past as far back as `horizon`; of real data that is a guess."""
        return False

    @property
    def log_volatility(self) -> bool:
        """Whether all targets are logarithms of volatilities."""
        return False


class SplitByShares(Strict):
    """Data without published splits: shares of the whole, in its own order, training first, test last."""

    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> "SplitByShares":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on: their sum must stay below 1")
        return self

    def ends(self, steps: int) -> tuple[int, int]:
        """The first of so many steps, or sentences, that belong to validation and to test."""
        return int(steps * (1 - self.validation - self.test)), int(steps * (1 - self.test))


class OwnTextConfig(SplitByShares):
    """The user's own text: one file split by shares, or three files, whose shares then do not matter."""

    path: Annotated[str, Decides.DATA]
    validation_path: Annotated[str | None, Decides.DATA]
    test_path: Annotated[str | None, Decides.DATA]

    @model_validator(mode="after")
    def _one_file_or_three(self) -> "OwnTextConfig":
        if (self.validation_path is None) != (self.test_path is None):
            raise ValueError("validation_path and test_path: give both, or neither to split `path` by shares")
        return self

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """Of three files no shares are taken."""
        if values.get("validation_path", "None") != "None":
            values = {key: value for key, value in values.items() if key not in SplitByShares.model_fields}
        return values


class DrawnConfig(TaskConfig):
    """Synthetic sequences: `sequences` new ones every epoch, `held_out` for validation and as many for test.

    How far back they need the past is known exactly: it is `reach`, which is the `horizon` if that is null. A shorter
    horizon is known to be needed too, for what comes from further back passes it. A longer one is the user's guess.
    """

    sequences: Count
    held_out: Count

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int | None:
        """The lag in steps at which a task of the `given` values needs the past; None: `horizon` must be stated."""
        return None

    @property
    def horizon_known(self) -> bool:
        """See `TaskConfig`; up to `reach`."""
        reach = self.reach(dict(self))
        return reach is not None and self.horizon <= reach

    @model_validator(mode="before")
    @classmethod
    def _horizon_is_known(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("horizon", 0) is not None:
            return given
        try:
            return {**given, "horizon": cls.reach(given)}
        except (KeyError, TypeError):  # a key that the horizon follows from is missing or wrong, and refused as such
            return {**given, "horizon": 1}


class LengthsConfig(DrawnConfig):
    """Drawn sequences of any length, the first of `length_keys`.

    `test_lengths`: what a run has learnt at its own length is tested at these too, after training.
    """

    test_lengths: Annotated[list[Count], Decides.RECORD]

    @property
    def further_lengths(self) -> Sequence[int]:
        """See `TaskConfig`."""
        return self.test_lengths

    @property
    def length(self) -> int:
        """The length of training, validation and test."""
        return int(getattr(self, self.length_keys[0]))

    def at_length(self, length: int) -> "LengthsConfig":
        """The same at another length.

        Raises:
            ValidationError: there are no sequences of this length.
        """
        changed = {self.length_keys[0]: length, "test_lengths": []}
        return type(self).model_validate(self.model_dump() | changed)

    @model_validator(mode="after")
    def _further_lengths_can_be_drawn(self) -> "LengthsConfig":
        if twice := sorted({length for length in self.test_lengths if self.test_lengths.count(length) > 1}):
            raise ValueError(f"test_lengths = {self.test_lengths} names {', '.join(map(str, twice))} more than once")
        for length in self.test_lengths:
            try:
                self.at_length(length)
            except ValidationError as error:
                why = reason(error.errors()[0]["msg"])
                raise ValueError(f"test_lengths: {length} as task.{self.length_keys[0]}: {why}") from error
        return self
