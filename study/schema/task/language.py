"""`conf/task/language_*`: at every step, predict the next token."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Strict
from study.schema.task.base import (
    TASKS,
    DrawnConfig,
    Kind,
    LengthsConfig,
    OwnTextConfig,
    SplitByShares,
    Steps,
    TaskConfig,
)

Level = Literal["char", "word"]
TwoOrMore = Annotated[int, Field(ge=2)]


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


class SymbolCounts(Strict):
    """Between `shortest` and `longest` symbols are to be kept (equal: always as many)."""

    shortest: Count
    longest: Count

    @model_validator(mode="after")
    def _shortest_does_not_exceed_longest(self) -> "SymbolCounts":
        if self.shortest > self.longest:
            raise ValueError(f"shortest={self.shortest} must not exceed longest={self.longest}")
        return self


@TASKS.member("study.tasks.language.copying:Copying")
class LanguageCopyingConfig(LengthsConfig, SymbolCounts):
    """The copying problem: symbols, a silence of `delay` steps, the same symbols again.

    They are out of `letters` different ones.
    """

    kind: ClassVar[Kind] = "multiclass"
    family: ClassVar = "language"
    length_keys: ClassVar[tuple[str, ...]] = ("delay", "longest")
    name: Literal["language_copying"]
    letters: Count
    delay: Count

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From the step that asks for a symbol to the step that showed it, m + T steps; of several m the longest."""
        return given["longest"] + given["delay"]

    @classmethod
    def sequence_steps(cls, values: Mapping[str, Any]) -> int:
        """The symbols in, the silence, the symbols out."""
        return 2 * int(values["longest"]) + int(values["delay"])


@TASKS.member("study.tasks.language.selective_copying:SelectiveCopying")
class LanguageSelectiveCopyingConfig(LengthsConfig):
    """Selective copying: `symbols` letters at random places among `seq_len` steps, then the same in their order."""

    kind: ClassVar[Kind] = "multiclass"
    direction: ClassVar = "maximize"
    family: ClassVar = "language"
    length_keys: ClassVar[tuple[str, ...]] = ("seq_len", "symbols")
    name: Literal["language_selective_copying"]
    letters: TwoOrMore
    symbols: Count
    seq_len: Steps

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From an answer to the letter it asks for, in the mean over letters and places: (L + m) / 2 steps."""
        return (given["seq_len"] + given["symbols"]) // 2

    @classmethod
    def sequence_steps(cls, values: Mapping[str, Any]) -> int:
        """The letters among blanks, and the answers."""
        return int(values["seq_len"]) + int(values["symbols"])

    @classmethod
    def asked_steps(cls, values: Mapping[str, Any]) -> int:
        """The answers."""
        return int(values["symbols"])

    @model_validator(mode="after")
    def _every_letter_has_a_place(self) -> "LanguageSelectiveCopyingConfig":
        if self.seq_len < self.symbols:
            raise ValueError(f"seq_len={self.seq_len} must not be below symbols={self.symbols}: each takes one step")
        return self


@TASKS.member("study.tasks.language.mqar:MQAR")
class LanguageMQARConfig(LengthsConfig):
    """Multi-query associative recall: `pairs` of a key and a value, then every key again, which asks for its value.

    Keys are out of `key_tokens` different ones, values out of `value_tokens`; in a sequence no pair shares either.
    """

    kind: ClassVar[Kind] = "multiclass"
    direction: ClassVar = "maximize"
    family: ClassVar = "language"
    name: Literal["language_mqar"]
    key_tokens: Count
    value_tokens: TwoOrMore
    pairs: Count
    seq_len: Steps

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From a query to the value it asks for, in the mean and however early queries come: at least 2 D - 1 steps."""
        return 2 * given["pairs"] - 1

    @classmethod
    def asked_steps(cls, values: Mapping[str, Any]) -> int:
        """The queries."""
        return int(values["pairs"])

    @model_validator(mode="after")
    def _there_is_room_for_every_pair(self) -> "LanguageMQARConfig":
        if self.pairs > (most := min(self.key_tokens, self.value_tokens)):
            raise ValueError(f"pairs={self.pairs} must not exceed key_tokens and value_tokens: allowed are 1 to {most}")
        if self.seq_len < 4 * self.pairs:
            raise ValueError(
                f"seq_len={self.seq_len}: {self.pairs} pairs and as many places of two steps for their queries need "
                f"{4 * self.pairs} steps or more"
            )
        return self


@TASKS.member("study.tasks.language.stream_copying:StreamCopying")
class LanguageStreamCopyingConfig(DrawnConfig, SymbolCounts):
    """Copying on a stream: a marker and m - 1 letters, then m blanks, at which the same m symbols are to come out.

    m is drawn between `shortest` and `longest`, anew for every period of 2 m steps; letters out of `letters` different
    ones. `sequences` and `held_out` are counted in stretches of `seq_len` steps, which a batch has side by side.
    """

    kind: ClassVar[Kind] = "multiclass"
    family: ClassVar = "language"
    stream: ClassVar[bool] = True
    name: Literal["language_stream_copying"]
    letters: TwoOrMore
    shortest: TwoOrMore
    longest: TwoOrMore
    seq_len: Steps

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From a symbol's coming out to its coming in, m steps; of several m the longest."""
        return int(given["longest"])
