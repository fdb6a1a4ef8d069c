"""`conf/task/labelling_*`: at every step, name its class."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from study.schema.base import Count
from study.schema.task.base import TASKS, DrawnConfig, Kind, OwnTextConfig, SplitByShares, Steps, TaskConfig


class LabellingConfig(TaskConfig):
    """Sentences of similar length side by side.

    Words rarer than `min_count` in the training part are read as unknown. `affixes`: the first 1, 2, ... and the last
    1, 2, ... characters of a word, up to so many, enter too (0: the word alone). Labels of a scheme such as IOB or
    BIOES are entities (`study.tasks.labelling.entities`).
    """

    kind: ClassVar[Kind] = "multiclass"
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

    `format`: `conllu` (tabs; comments, multiword tokens and empty nodes are left out), or `columns` (tabs or spaces;
    comments are left out). A label that training never shows counts as an error.
    """

    name: Literal["labelling_conll"]
    format: Literal["conllu", "columns"]
    word_column: Count
    label_column: Count


@TASKS.member("study.tasks.labelling.temporal_order:TemporalOrder")
class LabellingTemporalOrderConfig(DrawnConfig):
    """Which of two `markers` came in which order: 2 markers make 4 classes, 3 make 8, asked for at the last step."""

    kind: ClassVar[Kind] = "multiclass"
    family: ClassVar = "labelling"
    asks_once: ClassVar[bool] = True
    name: Literal["labelling_temporal_order"]
    markers: Literal[2, 3]
    seq_len: Annotated[int, Field(ge=10)]

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From the last step to the nearest first marker, 8T/10 steps."""
        return given["seq_len"] * 8 // 10


@TASKS.member("study.tasks.labelling.parity:Parity")
class LabellingParityConfig(DrawnConfig):
    """Whether the ones so far are odd in number, at every step."""

    kind: ClassVar[Kind] = "binary"
    family: ClassVar = "labelling"
    name: Literal["labelling_parity"]
    seq_len: Steps

    @property
    def horizon_known(self) -> bool:
        """See `TaskConfig`; every answer depends on all bits before it, so the task needs every lag there is."""
        return self.horizon < self.seq_len
