"""`conf/task/language_*`: at every step, predict the next token."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from study.schema.base import Count
from study.schema.task.base import TASKS, DrawnConfig, Kind, OwnTextConfig, SplitByShares, Steps, TaskConfig

Level = Literal["char", "word"]


class LanguageConfig(TaskConfig):
    """A text in columns read side by side, `seq_len` tokens a batch.

    `level` is what a token is; those with fewer than `min_count` in the training part are read as unknown.
    """

    kind: ClassVar[Kind] = "multiclass"
    family: ClassVar = "language"
    stream: ClassVar[bool] = True
    seq_len: Steps
    level: Level
    min_count: Count


class PublishedTextConfig(LanguageConfig, SplitByShares):
    """A text whose two levels are two tasks."""

    @model_validator(mode="after")
    def _level_is_in_the_name(self) -> "PublishedTextConfig":
        task, _, level = self.name.rpartition("_")
        if self.level != level:
            raise ValueError(f"level={self.level}: choose task={task}_{self.level}, whose other values fit it too")
        return self


@TASKS.member("study.tasks.language.bible:Bible")
class LanguageBibleConfig(PublishedTextConfig):
    """The King James Bible."""

    name: Literal["language_bible_char", "language_bible_word"]


@TASKS.member("study.tasks.language.tinyshakespeare:TinyShakespeare")
class LanguageTinyShakespeareConfig(PublishedTextConfig):
    """Forty thousand lines of Shakespeare's plays."""

    name: Literal["language_tinyshakespeare_char", "language_tinyshakespeare_word"]


@TASKS.member("study.tasks.language.text:Text")
class LanguageTextConfig(LanguageConfig, OwnTextConfig):
    """The user's own text."""

    name: Literal["language_text"]


@TASKS.member("study.tasks.language.copying:Copying")
class LanguageCopyingConfig(DrawnConfig):
    """The copying problem: symbols, a silence of `delay` steps, the same symbols again.

    Between `shortest` and `longest` symbols are to be kept (equal: always as many), out of `letters` different ones.
    """

    kind: ClassVar[Kind] = "multiclass"
    family: ClassVar = "language"
    length_keys: ClassVar[tuple[str, ...]] = ("delay", "longest")
    name: Literal["language_copying"]
    letters: Count
    shortest: Count
    longest: Count
    delay: Count

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From the step that asks for a symbol to the step that showed it, m + T steps; of several m the longest."""
        return given["longest"] + given["delay"]

    @classmethod
    def sequence_steps(cls, values: Mapping[str, Any]) -> int:
        """The symbols in, the silence, the symbols out."""
        return 2 * int(values["longest"]) + int(values["delay"])

    @model_validator(mode="after")
    def _lengths_are_in_order(self) -> "LanguageCopyingConfig":
        if self.shortest > self.longest:
            raise ValueError(f"shortest={self.shortest} must not exceed longest={self.longest}")
        return self
