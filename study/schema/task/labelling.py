"""`conf/task/labelling_*`: at every step, name its class."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from study.schema.base import Count
from study.schema.task.base import TASKS, Kind, LengthsConfig, OwnTextConfig, SplitByShares, Steps, TaskConfig


class LabellingConfig(TaskConfig):
    """Sentences of similar length side by side.

    Words rarer than `min_count` in the training part are read as unknown. `affixes`: the first 1, 2, ... and the last
    1, 2, ... characters of a word, up to so many, enter too (0: the word alone). Labels of a scheme such as IOB or
    BIOES are entities (`study.data.corpora.schemes`).
    """

    kind: ClassVar[Kind] = "multiclass"
    direction: ClassVar = "maximize"
    family: ClassVar = "labelling"
    min_count: Count
    affixes: Annotated[int, Field(ge=0, le=6)]


@TASKS.member("study.tasks.labelling.porttinari:Porttinari")
class LabellingPorttinariConfig(LabellingConfig, SplitByShares):
    """Porttinari, Portuguese news: one universal part of speech for every word."""

    name: Literal["labelling_porttinari_pos"]


@TASKS.member("study.tasks.labelling.ewt:EWT")
class LabellingEWTConfig(LabellingConfig):
    """English Web Treebank, its published splits: one universal part of speech for every word."""

    name: Literal["labelling_ewt_pos"]


@TASKS.member("study.tasks.labelling.hironsan:Hironsan")
class LabellingHironsanConfig(LabellingConfig, SplitByShares):
    """Hironsan, Japanese: named entities."""

    name: Literal["labelling_hironsan_ner"]


@TASKS.member("study.tasks.labelling.wnut17:WNUT17")
class LabellingWNUT17Config(LabellingConfig):
    """WNUT 2017, English web text, its published splits: emerging and rare named entities."""

    name: Literal["labelling_wnut17_ner"]


@TASKS.member("study.tasks.labelling.conll:CoNLL")
class LabellingCoNLLConfig(LabellingConfig, OwnTextConfig):
    """The user's own columns, one word a line, an empty line after a sentence; columns are numbered from 1.

    `format`: `conllu` (tabs; comments, multiword tokens and empty nodes are left out), `columns` (tabs or spaces;
    comments are left out), or `tagged` (a sentence of word/tag a line). A label that training never shows counts as an
    error.
    """

    name: Literal["labelling_conll"]
    format: Literal["conllu", "columns", "tagged"]
    word_column: Count
    label_column: Count

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """Of `word/tag` there are no columns."""
        values = super().canonical(values)
        if values.get("format") == "tagged":
            values = {key: value for key, value in values.items() if not key.endswith("_column")}
        return values


@TASKS.member("study.tasks.labelling.temporal_order:TemporalOrder")
class LabellingTemporalOrderConfig(LengthsConfig):
    """Which of two `markers` came in which order: 2 markers make 4 classes, 3 make 8, asked for at the last step."""

    kind: ClassVar[Kind] = "multiclass"
    direction: ClassVar = "maximize"
    family: ClassVar = "labelling"
    asks_once: ClassVar[bool] = True
    name: Literal["labelling_temporal_order"]
    markers: Literal[2, 3]
    seq_len: Annotated[int, Field(ge=10)]

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From the last step to the nearest first marker, 8T/10 steps."""
        return given["seq_len"] * 8 // 10


class StateTrackingConfig(LengthsConfig):
    """At every step, the state that all steps so far have led to: one missed makes every later answer a guess."""

    direction: ClassVar = "maximize"
    family: ClassVar = "labelling"
    tracks_state: ClassVar[bool] = True
    seq_len: Steps

    @property
    def horizon_known(self) -> bool:
        """See `TaskConfig`; every answer depends on all steps before it, so the task needs every lag there is."""
        return self.horizon < self.seq_len


@TASKS.member("study.tasks.labelling.parity:Parity")
class LabellingParityConfig(StateTrackingConfig):
    """Whether the ones so far are odd in number, at every step."""

    kind: ClassVar[Kind] = "binary"
    name: Literal["labelling_parity"]


def _is_a_group(name: str) -> str:
    if not re.fullmatch(r"s[345]|a[45]|z([2-9]|[1-9]\d)", name):
        raise ValueError("allowed: s3, s4, s5 (permutations), a4, a5 (even ones), z2 to z99 (sums modulo 2 to 99)")
    return name


@TASKS.member("study.tasks.labelling.group:Group")
class LabellingGroupConfig(StateTrackingConfig):
    """The word problem of a `group`: the product of the elements so far, at every step (Merrill et al. 2024)."""

    kind: ClassVar[Kind] = "multiclass"
    name: Literal["labelling_group"]
    group: Annotated[str, AfterValidator(_is_a_group)]
