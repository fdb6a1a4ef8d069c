"""The page of what other clip policies would have done to one run."""

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from study.analysis.diagnosis import changes
from study.analysis.diagnosis.thresholds import EARLY, PERCENTILE
from study.analysis.what_if import CLOSE, QUARTERS, share_acted
from study.ask.clipping_experiment import differing, experiment, slug
from study.ask.finding import OUTPUTS, Finding
from study.ask.replays import Replayed
from study.installation import CHECKOUT
from study.report.figures.what_if import replayed_policies
from study.report.pages.page import Head, Listing, Row, Section, Table, TableCell
from study.tracking.answers import AT, FROM

FILE = "clipping.yaml"
"""The experiment, beside the page."""
NAMED = 2
"""Policies of one role that are named in the sentence: those that act most often."""
ROLES = {
    "limiter": "limiting every step",
    "frequent": "acting often",
    "guard": "guarding",
    "inactive": "never acting",
    "none": "not clipping",
}
ANOTHER = (
    "A policy that acts changes the weights, and with them every later gradient: after its first update that differs, "
    "the norms here are no longer those that it would have met. What is counted from there on is what it does to the "
    "norms of this run, not what it would do in training; and nothing here says under which policy a network learns "
    "more. Only training does."
)
SILENT = "they look at more than norms of whole parameters (components, units, weights, the way back)"
HEADS = (
    Head("policy"),
    Head("role", "by the rule of the diagnosis; of a policy that looks at parameters by the share of them"),
    Head("acted", "share of the updates in which it would have acted; of parameters or units, where it looks at them"),
    Head("first difference", "the first update at which it applies another gradient than the run did"),
    Head("exact part", "share of the updates in which it acts among those up to there, and how many these are"),
    Head("by quarter", "share of the updates in which it acts, by quarter of the run; the first and the last of them"),
    Head("scale", "applied over total norm, where it acts: median, smallest"),
    Head("step", "mean of applied over total norm, over all updates"),
    Head("dropped", "gradients that are not finite and set to 0"),
    Head("too close", f"updates with a norm within {CLOSE:g} of a limit, relative: float32 cannot tell"),
)
ABOUT_THRESHOLDS = (
    "What the diagnosis proposes is a percentile of the first norms, which is known early in training; beside it that "
    "of all norms. Where norms fall while a network learns, the first is rarely exceeded later. Either changes the run "
    "from the first update that exceeds it on, and with it all later norms."
)


def finding(found: Replayed, folder: Path | None = None) -> Finding:
    """What was found.

    Args:
        found: of one run.
        folder: where the page will be written; None: below `outputs/answers`.
    """
    table, names = found.table(), differing(found)
    text = experiment(found, names) if names else ""
    picture = replayed_policies(found.run.run_id, found.past.course, found.replays)
    sections = [
        Section("What each would have done", list(_trust(found)), [_policies(table)], [picture]),
        Section("A threshold on the scale of this run", [ABOUT_THRESHOLDS], [_thresholds(found.past.course.norms)]),
        Section("An experiment", [_arms(names)], listings=[Listing(f"{slug(found)}.yaml", text)] if text else []),
    ]
    command = _command(folder or OUTPUTS / f"what-if-{found.run.run_id}", slug(found))
    return Finding(
        "what-if",
        [found.run],
        _sentence(table),
        " ".join([ANOTHER, *_limits(found, table)]),
        sections,
        {"what-if": table},
        (command, "To train these policies") if text else ("", ""),
        files={FILE: text} if text else {},
    )


def _sentence(table: pd.DataFrame) -> str:
    """How many would have been what, with the numbers that decide."""
    others = table[~table["own"]]
    if others.empty:
        return "No policy but the run's own was replayed."
    by_role = {words: others[others["role"] == role] for role, words in ROLES.items()}
    listed = "; ".join(f"{len(of)} {words} ({_most_often(of)})" for words, of in by_role.items() if len(of))
    updates = f"on the {table['updates'].iloc[0]:,} updates of this run"
    return f"Of {len(others)} other policies, {updates} there would have been {listed}. {_exact(others)}"


def _most_often(policies: pd.DataFrame) -> str:
    """The policies of one role that act most often, and how often."""
    first = policies.sort_values("acted", ascending=False, kind="stable").to_dict("records")
    named = ", ".join(f"{row['policy']} in {share(row['acted'])}" for row in first[:NAMED])
    return named + (", ..." if len(first) > NAMED else "")


def _exact(others: pd.DataFrame) -> str:
    differing = others["first_difference"].dropna()
    if differing.empty:
        return "None would have applied another gradient than the run did, so this is exact for all updates."
    same = f"; {len(others) - len(differing)} would have changed nothing" if len(differing) < len(others) else ""
    return (
        "Exact up to the first update at which a policy applies another gradient than the run did, which is update "
        f"{differing.min():.0f} for the first of them and {differing.max():.0f} for the last{same}."
    )


def _trust(found: Replayed) -> Iterator[str]:
    """Whether the replay gives what the run recorded, who cannot be asked, and what is not finite."""
    own, norms = found.own.name, found.past.course.norms
    if found.did.proven is None:
        yield (
            f"The run's own policy, {own}, cannot be replayed: {SILENT}. So where it acted it is not known what it "
            "applied, and such an update counts as one that differs."
        )
    else:
        yield (
            f"Proof: the run's own policy, {own}, replayed, applies the norm that the run recorded at "
            f"{found.did.proven.sum():,} of {len(norms):,} updates."
        )
    if silent := [name for name in found.silent if name != own]:
        yield f"Not asked: {', '.join(silent)}; {SILENT}, and a history does not have that."
    if lost := int((~np.isfinite(norms)).sum()):
        yield (
            f"Updates whose norm is not finite: {lost}. A policy with a number of dropped ones sets such a gradient to "
            "0 and goes on; under every other one the run ends there."
        )


def _policies(table: pd.DataFrame) -> Table:
    rows = [Row([TableCell(text) for text in _cells(row)], quiet=row["own"]) for row in table.to_dict("records")]
    return Table(HEADS, rows, "Grey: the run's own policy.")


def _cells(row: Mapping[Hashable, Any]) -> Iterator[str]:
    """One policy, in the order of `HEADS`."""
    never = np.isnan(row["first"])
    yield str(row["policy"])
    yield str(row["role"])
    yield share(row["acted"]) + ("" if np.isnan(row["parts"]) else f" ({share(row['parts'])} of what it looks at)")
    yield number(row["first_difference"])
    yield f"{share(row['acted_exact'])} of {number(row['exact'])}"
    quarters = " ".join(share(row[f"quarter_{n}"]) for n in range(1, QUARTERS + 1))
    yield "-" if never else f"{quarters} (updates {row['first']:.0f} to {row['last']:.0f})"
    yield "-" if never else f"{row['median_scale']:.3g}, {row['smallest_scale']:.2g}"
    yield f"{row['effective_step']:.3g}"
    yield number(row["dropped"])
    yield number(row["too_close"])


def share(value: float) -> str:
    """A share in percent; a dash where there is none."""
    return "-" if np.isnan(value) else f"{value:.1%}"


def number(value: float | int) -> str:
    """A count; a dash where there is none."""
    return "-" if np.isnan(value) else f"{value:,.0f}"


def _thresholds(norms: np.ndarray) -> Table:
    """The proposed percentile of the first norms and of all, and how often each is exceeded."""
    measured = {f"the first {min(EARLY, len(norms))} updates": norms[:EARLY], "all updates": norms}
    heads = ["norms of", f"{PERCENTILE}th percentile", "exceeded in the run", "in its last quarter"]
    rows = []
    for words, of in measured.items():
        threshold = changes.threshold(of)
        parts = norms, np.array_split(norms, QUARTERS)[-1]
        often = [share_acted(np.where(np.isfinite(part), part > threshold, np.nan)) for part in parts]
        rows.append(Row([TableCell(text) for text in (words, f"{threshold:.3g}", *map(share, often))]))
    return Table([*map(Head, heads)], rows)


def _arms(names: list[str]) -> str:
    if not names:
        return "No policy that was replayed would have differed from the run: there is nothing to train."
    return (
        f"The run's own policy, and those that differ most from it and from each other ({', '.join(names)}), on the "
        "same task, network and budget. The file is beside this page."
    )


def _command(folder: Path, name: str) -> str:
    """What puts the experiment where it is found, and runs it."""
    if Path.cwd() == CHECKOUT:
        return f"cp {folder / FILE} conf/experiment/{name}.yaml && make sweep EXPERIMENT={name}"
    there = f"mine/experiment/{name}.yaml"
    return f"mkdir -p mine/experiment && cp {folder / FILE} {there} && study-sweep -cd mine experiment={name}"


def _limits(found: Replayed, table: pd.DataFrame) -> Iterator[str]:
    """What else cannot be known of this very run."""
    if close := [row for row in table.to_dict("records") if row["too_close"]]:
        listed = ", ".join(f"{row['policy']} {row['too_close']}" for row in close)
        yield f"A history keeps float32: norms within {CLOSE:g} of a limit may have been on its other side ({listed})."
    if found.past.of_the_flow:
        yield (
            "The run's own policy acts on the way back: where it acted, no norm without it exists, and all is about "
            "gradients that it had cut."
        )
    if FROM in found.run.tags:
        yield f"The run is a fork: its first {found.run.tags[AT]} updates were made under the policy of its parent."
    if found.did.proven is not None and not found.did.proven.all():
        yield (
            "Where the replay of the run's own policy does not give the record, it is not known what was applied; such "
            "updates count as ones that differ."
        )
