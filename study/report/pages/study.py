"""The page of a whole study, from what was tracked of it."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from study.figures.style import Picture
from study.report.data import plan as planned
from study.report.data.histories import Norms, norms
from study.report.data.ranking import Answer, answer, format_interval
from study.report.data.runs import ENDED, Comparison, Evidence, gather
from study.report.data.trials import searches
from study.report.figures import gradients
from study.report.figures import probes as across
from study.report.figures.ablation import VARIED, against
from study.report.pages import search as search_page
from study.report.pages.page import Cell, Head, Page, Row, Section, Table

HEADS = (
    Head("arm", "what sets it apart from the others; the best first"),
    Head("{measure} on test", "mean over seeds, with its 95% interval"),
    Head("behind the best", "mean difference to the best arm, paired by seed, with its interval; above 0 is worse"),
    Head("loses to the best", "probability that a run of the best arm beats one of this arm (Mann-Whitney)"),
    Head("diverged", "runs that left the finite numbers"),
    Head("gradients", "verdicts on the runs, by how much of the gradient is left at the horizon of the task"),
    Head("half-life", "steps in which the gradient of one step's loss halves on its way back; median over runs"),
    Head("horizon", "largest lag at which 1% of the gradient is left, as far as measured; median over runs"),
    Head("clipped", "share of the updates in which clipping acted"),
    Head("updates", "mean over runs"),
    Head("seconds", "of training, validation included; mean over runs"),
    Head("in words"),
)
EXPLAINED = (
    "Intervals: 95% by Student's t (bootstrap intervals of few seeds are too narrow), themselves too narrow where some "
    "seeds fail outright. That of a measure is for its own row, and the best arm's flatters it: it was chosen by the "
    "same runs. Those of differences hold for all pairs of arms together (Bonferroni), so that this choice does no "
    "harm. Diverged runs are left out of means and lose every comparison. The naive guess has no memory."
)
SEEN = ["clipped", "norm_median", "norm_peak"]
NBSP = "\u00a0"
"""Keeps an interval on one line."""
ONE_SEED = "One seed an arm: there are no intervals, and the order of the arms may be chance."


def write(slug: str, uri: str, ui: str, folder: Path) -> Path:
    """Write the page of a study, its results and its figures, and keep all of it with the study's newest sweep.

    Args:
        slug: of the study.
        uri: of the MLflow store.
        ui: where the MLflow UI answers, for links.
        folder: to write into.

    Raises:
        study.errors.ConfigError: nothing was tracked under this slug, or the store cannot be used.
    """
    evidence = gather(uri, slug)
    counted = evidence.runs[evidence.runs["counts"]]
    histories = {str(run): found for run, logged in counted["logged"].items() if (found := norms(logged)) is not None}
    answers = {c.task: answer(c, histories) for c in evidence.comparisons}
    path = _page(evidence, histories, answers, ui).write(folder, "report")
    results(evidence, histories).to_csv(folder / "results.csv", float_format="%.6g")
    if evidence.parent is not None:
        evidence.parent.keep(folder, "report")
    return path


def results(evidence: Evidence, histories: Mapping[str, Norms]) -> pd.DataFrame:
    """One row a run, whatever became of it."""
    columns = [c for c in evidence.runs if c not in ("logged", "label", "note") and not str(c).startswith("params.")]
    seen = {run: (h.active, h.median, h.peak) for run, h in histories.items()}
    return evidence.runs[columns].join(pd.DataFrame.from_dict(seen, orient="index", columns=SEEN))


def _page(
    evidence: Evidence, histories: Mapping[str, Norms], answers: Mapping[str, list[Answer]], ui: str
) -> Page:  # fmt: skip
    table, plan = results(evidence, histories), planned.load_plan(evidence.parent)
    sections = [_task(c, histories, answers[c.task], table) for c in evidence.comparisons]
    found = list(searches(evidence.runs, plan.search, plan.objective))
    sections += [section for search in found for section in search_page.sections(search)]
    trials = {run: name for search in found for run, name in search_page.names(search).items()}
    told = {
        str(run): (trials.get(str(run), _name(row)), row["logged"].experiment) for run, row in evidence.runs.iterrows()
    }
    notes = [*_notes(evidence), *filter(None, [planned.missing(plan, evidence.runs)])]
    return Page(evidence.slug, _lead(evidence), notes, [*sections, _runs(evidence)], told, ui)


def _name(row: pd.Series) -> str:
    """What a mark tells of its run."""
    return f"{row['arm']}, seed {row['seed']}: {', '.join(filter(None, [row['outcome'], row['verdict']]))}"


def _lead(evidence: Evidence) -> str:
    outcomes = Counter(evidence.runs["outcome"])
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    return (
        f"{len(evidence.runs)} runs under this slug ({told}); {int(evidence.runs['counts'].sum())} of them are the "
        f"answers below. Hover over a mark to see which run it is, click to open it in MLflow."
    )


def _notes(evidence: Evidence) -> Iterator[str]:
    """What is missing."""
    if evidence.parent is not None and evidence.parent.status == "RUNNING":
        yield "The sweep is still going on: this page tells what has ended so far."
    lost = evidence.runs[~evidence.runs["outcome"].isin([*ENDED, "running", "pruned"])]
    if len(lost):
        yield f"{len(lost)} runs did not come to an end ({', '.join(sorted(set(lost['outcome'])))}); see Runs."
    for comparison in evidence.comparisons:
        seeds = comparison.runs.groupby("arm")["seed"].apply(frozenset)
        if seeds.nunique() > 1:
            yield f"{comparison.task}: not every arm has the same seeds, so arms rest on different numbers of runs."


def _task(
    comparison: Comparison, histories: Mapping[str, Norms], answers: list[Answer], table: pd.DataFrame
) -> Section:
    mine = {run: history for run, history in histories.items() if run in comparison.runs.index}
    flow = gradients.flow_data(comparison)
    drawn = (
        gradients.norm_histories(comparison, mine),
        gradients.flow_over_lag(comparison, flow),
        gradients.flow_heat(comparison, flow),
        across.decay_against_exponent(comparison),
        across.truncation_bias(comparison),
        *(against(comparison, table.loc[comparison.runs.index], varied) for varied in VARIED),
    )
    pictures: list[Picture] = [picture for picture in drawn if picture is not None]
    title = f"{comparison.family}: {comparison.task}" if comparison.family else comparison.task
    texts = [] if any(a.measure.seeds > 1 for a in answers) else [ONE_SEED]
    return Section(title, texts, [_table(comparison, answers)], pictures)


def _table(comparison: Comparison, answers: list[Answer]) -> Table:
    """One row an arm, the naive guess below; columns with nothing in them are left out."""
    heads = [Head(h.text.format(measure=comparison.measure), h.help) for h in HEADS]
    rows = [_row(a) for a in answers]
    if not math.isnan(comparison.baseline):
        rows.append(["naive guess", f"{comparison.baseline:.4g}", *["-"] * (len(HEADS) - 3), ""])
    kept = [i for i in range(len(heads)) if any(row[i] not in ("-", "0") for row in rows)]
    return Table(
        [heads[i] for i in kept],
        [Row([Cell(row[i]) for i in kept], quiet=row[0] == "naive guess") for row in rows],
        EXPLAINED,
    )


def _row(found: Answer) -> list[str]:
    gap, several = found.gap, found.runs > 1
    return [
        found.arm,
        format_interval(found.measure).replace(" ", NBSP),
        format_interval(gap).replace(" ", NBSP) if gap is not None and gap.seeds > 1 else "-",
        f"{found.beaten:.0%}" if several and not math.isnan(found.beaten) else "-",
        f"{found.diverged} of {found.runs}" if found.diverged else "0",
        ", ".join(f"{count} {verdict}" if several else verdict for verdict, count in found.verdicts.items()) or "-",
        _number(found.half_life, ".3g"),
        _number(found.horizon, ".0f"),
        _number(found.active, ".0%"),
        _number(found.updates, ".0f"),
        _number(found.seconds, ".0f"),
        found.sentence,
    ]


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else "none" if math.isinf(value) else format(value, form)


def _runs(evidence: Evidence) -> Section:
    """Every run, to open."""
    heads = [Head(t) for t in ("run", "task", "arm", "seed", "phase", "outcome", "gradients", "test", "what happened")]
    rows = [
        Row(
            [
                Cell(str(row["name"]), run=str(run)),
                *(Cell(str(row[key])) for key in ("task", "arm", "seed", "phase", "outcome")),
                Cell(str(row["verdict"]) or "-"),
                Cell(_number(float(row["value"]), ".4g")),
                Cell(str(row["note"] or row["error"]).replace("**", "")),
            ],
            quiet=not row["counts"],
        )
        for run, row in evidence.runs[evidence.runs["phase"] != "search"].iterrows()
    ]
    return Section(
        "Runs",
        ["Those in italics do not count: repetitions, and runs that did not end. Trials of a search stand above."],
        [Table(heads, rows)],
    )
