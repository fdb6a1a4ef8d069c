"""The test of one cause, which of several is named, and their table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import pyarrow as pa

from study.analysis.diagnosis.cause import Cause

Found = Literal["supported", "ruled out", "not measured"]
Evidence = Literal["decisive", "fork", "sign"]
"""How much a test says: `decisive`, a measurement that shows by itself what is wrong; `fork`, the same run from one of
its updates on, better without it; `sign`, a measurement that fits, and that runs without this fault may show too."""
NOTHING = "nothing to learn"
"""The cause that is of no run, but of its data."""
TABLE = "causes.parquet"
"""A row a cause, in the order of the tests."""


@dataclass(frozen=True)
class CauseTest:
    """One cause, tested.

    Attributes:
        cause: its name, as the diagnosis has it, or `NOTHING`.
        measure: what the number is, in words.
        value: the number; NaN where it was not measured.
        threshold: what it is held against.
        found: whether the cause is supported, ruled out, or was not measured.
        why: the same in a sentence, with its numbers.
        evidence: how much it says.
        change: overrides that would test it further or put it right; empty where there are none.
        effect: what the change is.
    """

    cause: str
    measure: str
    value: int | float
    threshold: int | float
    found: Found
    why: str
    evidence: Evidence = "decisive"
    change: str = ""
    effect: str = ""

    @property
    def name(self) -> str:
        """As the diagnosis calls the cause."""
        return "unknown" if self.cause == NOTHING else self.cause

    def by(self, cause: Cause) -> "CauseTest":
        """Supported, by a rule of the diagnosis that holds."""
        name = self.cause if self.cause == NOTHING else cause.name
        why = cause.evidence or self.why
        return replace(self, cause=name, found="supported", why=why, change=cause.change, effect=cause.effect)


def first(tests: Sequence[CauseTest]) -> CauseTest | None:
    """The cause to name: the first one that a decisive measurement supports.

    Else the one whose fork gained most, else the first that some sign speaks for; None: there is none.
    """
    for evidence in get_args(Evidence):
        if found := [test for test in tests if test.found == "supported" and test.evidence == evidence]:
            return max(found, key=lambda test: test.value) if evidence == "fork" else found[0]
    return None


def sentence(tests: Sequence[CauseTest]) -> str:
    """What all tests together say, in one sentence."""
    named, open_ = first(tests), [test.cause for test in tests if test.found == "not measured"]
    left = f"; not measured: {', '.join(open_)}" if open_ else ""
    if named is None:
        return f"no cause is supported by a measurement{left}"
    weight = {"decisive": "", "fork": ", by a fork", "sign": ", by a sign only"}[named.evidence]
    return f"{named.cause} comes first{weight}: {named.why}{left}"


def otherwise(tests: Sequence[CauseTest], diagnosed: str) -> str:
    """Why the tests name another cause than the diagnosis of the run; empty where they do not.

    Args:
        tests: of the run.
        diagnosed: the cause by its diagnosis.
    """
    named = first(tests)
    if diagnosed == (named.name if named else diagnosed if diagnosed in ("none", "unknown") else ""):
        return ""
    text = f"The diagnosis says {diagnosed}, these tests {named.cause if named else 'none'}"
    row = next((test for test in tests if test.name == diagnosed), None)
    if row is not None:
        return f"{text}: here {row.cause} is {row.found}{f' ({row.why})' if row.why else ''}."
    if diagnosed == "none":
        return f"{text}: the diagnosis asks for no cause where a run learned something and its gradient is not ill."
    return f"{text}: the diagnosis says so where no other rule holds."


def table(tests: Sequence[CauseTest]) -> pa.Table:
    """See `TABLE`; sentences are left out, so that reruns by later versions compare numbers, not words."""
    return pa.table(
        {
            "cause": [test.cause for test in tests],
            "found": [test.found for test in tests],
            "evidence": [test.evidence for test in tests],
            "number": [float(test.value) for test in tests],
            "threshold": [float(test.threshold) for test in tests],
            "to_test": [test.change for test in tests],
        }
    )


def number(value: int | float) -> str:
    """A number in a table; empty where there is none."""
    return "" if math.isnan(value) else f"{value:.3g}"
