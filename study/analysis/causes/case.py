"""A run whose causes are tested, and what all tests share."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from study.analysis.causes.tested import CauseTest
from study.analysis.diagnosis.cause import before_the_ruin
from study.analysis.diagnosis.changes import Change
from study.analysis.diagnosis.events import Event, events
from study.analysis.diagnosis.facts import Facts, Probed, Setup
from study.analysis.diagnosis.judge import Diagnosis, diagnose
from study.tracking.outcomes import LOST


class Case(NamedTuple):
    """A run, and what its tests share.

    Attributes:
        facts: of the run.
        diagnosis: by these facts.
        happened: to it, see `study.analysis.diagnosis.events`.
        last: the last measures that count; without any where there are none.
        missing: why a probe was not measured, by its name.
    """

    facts: Facts
    diagnosis: Diagnosis
    happened: list[Event]
    last: Probed
    missing: Mapping[str, str]

    @property
    def setup(self) -> Setup:
        """What of the configuration a cause may lie in."""
        return self.facts.setup

    @property
    def lost(self) -> bool:
        """Whether the run was destroyed."""
        return self.diagnosis.outcome in LOST

    def unmeasured(self, probe: str) -> str:
        """Why there is no measure of a probe."""
        return f"{probe} was not measured{f': {self.missing[probe]}' if probe in self.missing else ''}"


def case_of(facts: Facts, missing: Mapping[str, str] | None = None) -> Case:
    """A run by its facts; `missing`: why a probe was not measured."""
    judged, happened = diagnose(facts), events(facts)
    probed = before_the_ruin(facts, happened) if judged.outcome in LOST else facts.probed
    return Case(facts, judged, happened, probed[-1] if probed else Probed(0), missing or {})


def left(tested: CauseTest, why: str, change: Change) -> CauseTest:
    """Not measured, with the change whose fork would tell."""
    return replace(tested, found="not measured", why=why, change=change[0], effect=change[1])
