"""The schema of a run: what a composed configuration must look like, checked before anything is trained or logged.

No torch here: a typo is answered at once. Every group's classes are strict pydantic models; the values (with their
comments) stand in `conf/`, so no default is written twice.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import ValidationError, model_validator

from study.errors import ConfigError
from study.schema.base import Decides, Strict, group_classes, option_names
from study.schema.bptt import TRUNCATIONS, BPTTConfig
from study.schema.clip import CLIPS, ClipConfig
from study.schema.loss import LOSSES, LossConfig
from study.schema.model import MODELS, CoreConfig
from study.schema.optimizer import OPTIMIZERS, OptimizerConfig
from study.schema.own import Options
from study.schema.probe import ProbeConfig
from study.schema.refusal import explain
from study.schema.regularizer import REGULARIZERS, RegularizerConfig
from study.schema.run import DataConfig, Slug, TrackingConfig, TrainerConfig
from study.schema.schedule import SCHEDULES, RateScheduleConfig
from study.schema.sweep import SweepConfig
from study.schema.task import TASKS, TaskConfig

if TYPE_CHECKING:
    AnyTask = TaskConfig
    AnyModel = CoreConfig
    AnyLoss = LossConfig
    AnyBPTT = BPTTConfig
    AnyClip = ClipConfig
    AnyOptimizer = OptimizerConfig
    AnySchedule = RateScheduleConfig
    AnyRegularizer = RegularizerConfig
else:
    AnyTask, AnyModel, AnyLoss = (registry.union for registry in (TASKS, MODELS, LOSSES))
    AnyBPTT, AnyClip, AnyOptimizer = (registry.union for registry in (TRUNCATIONS, CLIPS, OPTIMIZERS))
    AnySchedule, AnyRegularizer = (registry.union for registry in (SCHEDULES, REGULARIZERS))


class Config(Strict):
    """One run, complete: everything that decides its numbers, and where they go."""

    slug: Annotated[Slug, Decides.RECORD]
    seed: Annotated[int, Decides.SEED]
    data: Annotated[DataConfig, Decides.HERE]
    task: AnyTask
    model: AnyModel
    loss: AnyLoss
    bptt: AnyBPTT
    regularizer: AnyRegularizer
    clip: AnyClip
    optimizer: AnyOptimizer
    schedule: AnySchedule
    probe: Annotated[ProbeConfig, Decides.RECORD]
    trainer: TrainerConfig
    tracking: Annotated[TrackingConfig, Decides.RECORD]
    sweep: Annotated[SweepConfig, Decides.HERE]

    @model_validator(mode="after")
    def _loss_fits_the_task(self) -> "Config":
        if why := self.loss.misfit(self.task):
            raise ValueError(f"loss={self.loss.name} does not fit task={self.task.name}: it needs {why}")
        return self

    @model_validator(mode="after")
    def _truncation_is_within_reach(self) -> "Config":
        steps = self.task.sequence_steps(self.task.model_dump())
        if steps is None:
            return self
        keys = " and ".join(f"task.{key} = {getattr(self.task, key)}" for key in self.task.length_keys)
        (stride, every), (reach, far) = self.bptt.stride, self.bptt.reach
        null = ("", "") if self.bptt.always_cuts else (", or null", ", or null for all of them")
        if every is not None and every > steps:
            raise ValueError(
                f"bptt.{stride} = {every}: an update is made at least once a batch, of {steps} steps ({keys}); "
                f"allowed: 1 to {steps}{null[0]}"
            )
        if far is not None and far > steps and not self.task.stream:
            raise ValueError(
                f"bptt.{reach} = {far}: sequences of task={self.task.name} have {steps} steps ({keys}), and no "
                f"gradient flows further back; allowed: 1 to {steps}{null[1]}"
            )
        return self

    @model_validator(mode="after")
    def _a_batch_has_a_gradient_of_its_own(self) -> "Config":
        if self.bptt.update == "sequence" and self.bptt.spans_batches and self.task.stream:
            raise ValueError(
                f"bptt.update = 'sequence': task={self.task.name} is a stream, where with bptt={self.bptt.name} a "
                "window may span several batches, so that no batch has all its windows; allowed: 'window'"
            )
        return self

    @model_validator(mode="after")
    def _what_is_clipped_is_there(self) -> "Config":
        key, far = self.bptt.reach
        if self.clip.of_the_flow and far == 1:
            raise ValueError(
                f"clip={self.clip.name} with bptt.{key} = 1: it clips what flows back from step to step, and nothing "
                f"does; allowed: {key} of 2 and more, or null"
            )
        if self.clip.of_the_flow and self.loss.scale != "none":
            raise ValueError(
                f"loss.scale = {self.loss.scale!r} with clip={self.clip.name}: gradients are divided when they have "
                "come back, and this policy clips them on the way, so its threshold is not on that scale; allowed: none"
            )
        return self

    @model_validator(mode="after")
    def _regularizer_has_something_to_act_on(self) -> "Config":
        (key, far), regularizer = self.bptt.reach, self.regularizer
        if regularizer.one_direction and self.model.bidirectional:
            raise ValueError(
                f"regularizer={regularizer.name} follows the steps that gradients flow back through in a core that "
                "reads forwards, and would leave out the other one; allowed: model.bidirectional=false"
            )
        if regularizer.between_steps and far == 1:
            raise ValueError(
                f"regularizer={regularizer.name} with bptt.{key} = 1: it acts on gradients that flow from step to "
                f"step, and none does; allowed: bptt.{key} of 2 and more, or null"
            )
        return self

    @model_validator(mode="after")
    def _schedule_knows_its_end(self) -> "Config":
        if self.schedule.needs_updates and self.trainer.max_seconds is not None:
            raise ValueError(
                f"schedule={self.schedule.name} spans the whole run, and trainer.max_seconds = "
                f"{self.trainer.max_seconds} does not say how many updates it has; allowed: a budget in max_updates, "
                "max_steps or max_epochs"
            )
        return self

    @model_validator(mode="after")
    def _steps_ahead_may_be_read(self) -> "Config":
        if not self.model.bidirectional:
            return self
        if self.task.family != "labelling":
            raise ValueError(
                f"model.bidirectional = True: it reads the steps ahead, and task={self.task.name} asks what they will "
                "be; it fits sequence labelling alone"
            )
        return self._refuse_windows(
            "model.bidirectional = True",
            "what reads backwards starts at the last step, so a window cut from its sequence has no state to start "
            "from",
        )

    @model_validator(mode="after")
    def _a_loss_of_whole_sequences_has_them(self) -> "Config":
        if not self.loss.whole:
            return self
        return self._refuse_windows(
            f"loss.name = {self.loss.name!r}",
            "it is of a whole sequence and no sum over its steps, so a window cut from it has no part of it",
        )

    @model_validator(mode="after")
    def _predictions_can_be_fed_back(self) -> "Config":
        asked = self.probe.lyapunov and self.probe.lyapunov.autonomous
        if asked and not self.task.feeds_back:
            fitting = ", ".join(name for name in TASKS if TASKS.config(name).feeds_back)
            raise ValueError(
                f"probe.lyapunov.autonomous = {asked}: a network runs on its own predictions where they are its next "
                f"inputs, and those of task={self.task.name} are not; allowed: null, or task={fitting}"
            )
        return self

    def _refuse_windows(self, chosen: str, why: str) -> "Config":
        """Refuse whatever cuts sequences into windows, in training or in a probe."""
        if self.bptt.always_cuts:
            raise ValueError(
                f"bptt = {self.bptt.name}: it cuts every sequence, which {chosen} does not allow; {why}; allowed: "
                "truncated, with k1 and k2 null"
            )
        cut = {f"bptt.{key}": value for key, value in (self.bptt.stride, self.bptt.reach)}
        cut |= {f"probe.{name}": getattr(self.probe, name) for name in ("truncation", "alignment")}
        if keys := [key for key, value in cut.items() if value is not None]:
            raise ValueError(f"{chosen}: {' and '.join(keys)} must be null; {why}")
        return self

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """The one form of what several groups say together.

        A truncation as long as the sequences, or as a stream's batches, is none (k2 null). When to validate has an
        effect where validations end the training, take of its time, or lower its rate.
        """
        task = {key.removeprefix("task."): value for key, value in values.items() if key.startswith("task.")}
        known = task.get("name", "") in TASKS
        if known and values.get("bptt.k2") == str(TASKS.config(task["name"]).sequence_steps(task)):
            values = values | {"bptt.k2": "None"}
        rate = values.get("schedule.name", "")
        lowers = rate in SCHEDULES and SCHEDULES.config(rate).after_validations
        if not lowers and values.get("trainer.patience") == values.get("trainer.max_seconds") == "None":
            values = {key: value for key, value in values.items() if key != "trainer.validate_every"}
        return values


class SweepingConfig(Strict):
    """What is one for all runs of a sweep."""

    slug: Slug
    tracking: TrackingConfig
    sweep: SweepConfig


Checked = TypeVar("Checked", Config, SweepingConfig)


def validate(composed: DictConfig | Mapping[str, Any]) -> Config:
    """Check the composed configuration of a run and return it typed; see `check`."""
    return check(composed, Config)


def check(composed: DictConfig | Mapping[str, Any], kind: type[Checked]) -> Checked:
    """Check a composed configuration, or its part that `kind` is about, and return it typed.

    Raises:
        ConfigError: with one line for every offending key: the key, its value, what is allowed.
    """
    try:
        node = composed if isinstance(composed, DictConfig) else OmegaConf.create(dict(composed))
        raw = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key}: a value is needed, as in {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key or 'config'}: {str(error.msg).splitlines()[0]}") from error
    return checked(raw, kind)


def checked(raw: Any, kind: type[Checked]) -> Checked:
    """The same of plain values.

    Raises:
        ConfigError: see `check`.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(item, raw, Config) for item in error.errors())) from error


def keys(node: Any = Config, prefix: str = "") -> Iterator[str]:
    """Every dotted key the schema knows, over all options of every group."""
    return (key for key, _ in _typed_keys(node, prefix))


@cache
def open_keys() -> frozenset[str]:
    """The keys below which the schema does not know which keys there are: `sweep.search`, `model.options`."""
    return frozenset(key for key, kind in _typed_keys(Config, "") if kind in (Options, dict[str, Any]))


def options_with(key: str) -> list[str]:
    """The options of a group that have a dotted key of it, such as of `clip.threshold`; none of a group without any."""
    group, _, rest = key.partition(".")
    field = Config.model_fields.get(group)
    classes = group_classes(field.annotation) if field and rest else ()
    return [name for found in classes if rest in keys(found) for name in option_names(found)]


def _typed_keys(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for group in group_classes(node):
        for name, field in group.model_fields.items():
            yield prefix + name, field.annotation
            yield from _typed_keys(field.annotation, f"{prefix}{name}.")
