"""What a reader must know before the answers: what is missing, unequal, or could not be read."""

from collections.abc import Iterable, Iterator, Mapping

from study.report.data.histories import describe_lost
from study.report.data.plan import Planned, missing
from study.report.data.runs import Evidence
from study.tracking.outcomes import ENDED


def unread(lost: Mapping[str, str], plan: Planned) -> Iterator[str]:
    """What could not be read: figures and counts are without it."""
    if lost:
        yield describe_lost(lost)
    if plan.unread:
        yield f"The plan of the sweep cannot be read ({plan.unread}), so runs that are missing are not named."


def further(noted: Iterable[str], lost: Mapping[str, str]) -> list[str]:
    """What else could not be read or drawn, without the histories that are named anyway."""
    return [sentence for sentence in noted if not any(reason in sentence for reason in lost.values())]


def notes(evidence: Evidence, plan: Planned) -> Iterator[str]:
    """What is missing or unequal."""
    if evidence.parent is not None and evidence.parent.status == "RUNNING":
        yield "The sweep is still running: this page shows the runs that have ended so far."
    lost = evidence.runs[~evidence.runs["outcome"].isin([*ENDED, "running", "pruned"])]
    if len(lost):
        runs = "1 run" if len(lost) == 1 else f"{len(lost)} runs"
        yield f"{runs} did not finish ({', '.join(sorted(set(lost['outcome'])))}); see Runs."
    for comparison in evidence.comparisons:
        yield from (f"{comparison.task}: {note}" for note in comparison.runs["data_notes"].unique() if note)
        seeds = comparison.runs.groupby("arm")["seed"].apply(frozenset)
        if seeds.nunique() > 1:
            yield f"{comparison.task}: arms have different seeds, so they rest on different numbers of runs."
    if lacking := missing(plan, evidence.runs):
        yield lacking
