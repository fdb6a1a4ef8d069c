"""The whole diagnosis of a run: its outcome, its gradients, the cause and the change that would test it."""

from dataclasses import dataclass

from study.analysis.diagnosis.cause import Cause, before_the_ruin, cause
from study.analysis.diagnosis.clipping import Clipping, clipping
from study.analysis.diagnosis.events import Event, events, share_left
from study.analysis.diagnosis.facts import Facts
from study.analysis.diagnosis.outcome import outcome
from study.analysis.diagnosis.over_lag import OverLag, Verdict, over_lag
from study.tracking.outcomes import Outcome, format_ending

RULES = "6"
"""Number of these rules, recorded with every run. Runs that record none were judged by rules without causes, whose
outcomes were `completed` and `diverged`, and whose verdicts took a leap of the norm for an explosion; by rules 2 any
lead over the best opponent was `ahead`; by rules 3 no task was known to follow a state, and none was tested at further
lengths; by rules 4 one loss that leapt was a ruin, and a step was judged by its length whatever its rate; by rules 5
what a truncation that points uphill destroyed had the cause step size."""


@dataclass(frozen=True)
class Diagnosis:
    """What became of a run, what its gradients do over the lag, and why.

    Attributes:
        outcome: what became of it.
        verdict: on the gradient over the lag.
        cause: what kept it from more, and the change that would test that.
        sentence: the chain of events for a reader, with the numbers that decided.
        clipping: what the clip policy was to this run.
        clipping_sentence: the same for a reader.
    """

    outcome: Outcome
    verdict: Verdict
    cause: Cause
    sentence: str
    clipping: Clipping
    clipping_sentence: str

    def __str__(self) -> str:
        """For the terminal: the answers, the chain of events, the change that would test the cause, clipping."""
        return "\n".join([f"{self.answers}: {self.sentence}", *self._test("{}"), self.clipping_sentence])

    def markdown(self) -> str:
        """The same as the description of a run."""
        parts = [
            f"**{self.answers}**: {self.sentence}.",
            *self._test("`{}`"),
            f"{self.clipping_sentence.capitalize()}.",
        ]
        return " ".join(parts)

    def tags(self) -> dict[str, str]:
        """The answers as tags of a run, and the number of the rules they follow."""
        answers = {"outcome": self.outcome, "verdict": self.verdict, "cause": self.cause.name}
        return answers | {"clipping": self.clipping, "to_test": self.cause.change, "diagnosis_rules": RULES}

    @property
    def answers(self) -> str:
        """The three in a few words, such as `ruined (step size)` or `completed, short memory`."""
        return format_ending(self.outcome, self.cause.name) + (
            "" if self.verdict == "undecided" else f", {self.verdict}"
        )

    def _test(self, form: str) -> list[str]:
        change = self.cause.change
        return [f"To test that: {form.format(change)} ({self.cause.effect})."] if change else []


def diagnose(facts: Facts) -> Diagnosis:
    """Judge a run by its facts."""
    became, why = outcome(facts)
    happened = events(facts)
    destroyed = became in ("ruined", "diverged")
    lag = _of_destroyed(facts, happened) if destroyed else _of_last(facts, became == "solved")
    found = cause(facts, became, lag.verdict, happened)
    # What probes saw on the way is part of a ruin's story; of other runs the last measures say the same.
    shown = [event.words for event in happened if destroyed or event.kind in ("loss", "norm")]
    parts = [why, *shown, lag.sentence, found.evidence]
    role = clipping(facts.course, facts.setup.clipped)
    return Diagnosis(became, lag.verdict, found, "; ".join(filter(None, parts)), *role)


def _of_last(facts: Facts, solved: bool) -> OverLag:
    """The gradient over the lag at the end, beside what it was before training."""
    found = over_lag(facts.setup, facts.probed[-1] if facts.probed else None, solved)
    first = facts.probed[0] if facts.probed else None
    if first is None or first.update == facts.probed[-1].update or found.verdict in ("undecided", "chaotic"):
        return found
    before = share_left(first, facts.setup.horizon)
    if before is None:
        return found
    when = f"after {first.update} updates" if first.update else "before training"
    return OverLag(found.verdict, f"{found.sentence} ({when} it was {before:.1e})")


def _of_destroyed(facts: Facts, happened: list[Event]) -> OverLag:
    """Exploding, if the last measures before the step that led to the first leap say so; else nothing is concluded."""
    before = before_the_ruin(facts, happened)
    found = over_lag(facts.setup, before[-1] if before else None)
    return found if found.verdict == "exploding" else OverLag("undecided", "")
