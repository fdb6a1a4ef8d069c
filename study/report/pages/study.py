"""The page of a study: for each task its arms compared, its gradients, its search; and all runs."""

import math
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pandas as pd

from study.report.data.comparison import Comparison
from study.report.data.histories import Norms, describe_lost, load_norms, unreadable
from study.report.data.lengths import by_length
from study.report.data.opponents import reached
from study.report.data.plan import Planned, load_plan, missing
from study.report.data.ranking import Answer, answer, compare, format_interval, format_power, format_seeds
from study.report.data.results import results, write_table
from study.report.data.runs import Evidence, gather
from study.report.data.trials import Search, searches
from study.report.figures import gradients
from study.report.figures.ablation import VARIED, ablation
from study.report.figures.lengths import generalisation
from study.report.figures.maps import maps
from study.report.figures.picture import Picture
from study.report.figures.probes import decay_against_exponent, truncation_bias
from study.report.pages import lengths as lengths_page
from study.report.pages import search as search_page
from study.report.pages.asked import asked
from study.report.pages.explorer import explorer
from study.report.pages.page import Head, Page, Row, Section, Table, TableCell
from study.schema.budget import compare_readings
from study.tracking.outcomes import ENDED

HEADS = (
    Head("arm", "the values that distinguish it from the others; best arm first"),
    Head("{measure} on test", "mean over seeds, with its 95% interval"),
    Head("behind the best", "mean difference to the best arm, paired by seed, with its interval; above 0 is worse"),
    Head(
        "seeds needed",
        "for a difference that is not shown: seeds at which 80% of studies would show a true difference of the size "
        "seen; rather too few, since the same runs chose the best arm",
    ),
    Head("loses to the best", "probability that a run of the best arm beats one of this arm (Mann-Whitney)"),
    Head("beats", "opponents, fitted on the same data and measured on the same steps, that the arm is shown to beat"),
    Head("ended as", "outcomes of the runs and, in brackets, what may have kept them from more; see Runs"),
    Head("gradients", "verdicts on the runs: what the gradient of one step's loss does over the lag"),
    Head("half-life", "steps back over which the gradient of one step's loss halves; median over runs"),
    Head("horizon", "largest lag measured at which at least 1% of the gradient is left; median over runs"),
    Head("clipped", "share of the updates in which clipping changed the gradient; mean over runs"),
    Head("parameters", "numbers that are trained, of all layers, embedding and head"),
    Head("state", "numbers that a sequence carries from one step to the next"),
    Head("updates", "mean over runs that did not diverge"),
    Head(
        "steps read",
        "at which losses were taken: the updates times their mean over an epoch; mean over runs that did not diverge",
    ),
    Head("seconds", "of training, validation included; mean over runs"),
    Head("in words"),
)
LEFT_OUT = "Runs that diverged, or were ruined by their own updates, are left out of means and lose every comparison."
EXPLAINED = (
    "Intervals of means: 95%, Student's t over seeds (bootstrap intervals of few seeds are too narrow), each for its "
    "row alone; that of the best arm is optimistic: the same runs chose it. Where some seeds fail outright they are "
    "too narrow: with 3 failures in 10 runs, an interval of 3 seeds holds the true mean in 63% of studies, of 5 seeds "
    "in 83%, of 10 in 96%. Intervals of differences hold for all pairs of arms together ({how}), so the choice of the "
    "best does not invalidate them. The rows below the arms are what they are measured against: the opponents of the "
    "task, fitted on its training part, or the naive guess, which uses no memory; whether an arm beats them holds for "
    "all arms together (Bonferroni; the scatter that of all arms, where three or more scatter alike). "
    f"{LEFT_OUT}"
)
ONE_EACH = (
    f"{LEFT_OUT} The rows below the arms are the opponents of the task, fitted on its training part, or the naive "
    "guess, which uses no memory."
)
POOLED = "Tukey's studentized range on arms x seeds, the scatter taken from all arms"
ALONE = "Bonferroni, each on its own seeds, since the arms do not scatter alike"
NAIVE = "naive guess"
NBSP = "\u00a0"
"""Keeps an interval on one line."""
ONE_SEED = "One seed per arm: there are no intervals, and the order of the arms may be chance."


def write(slug: str, uri: str, ui: str, folder: Path, printed: Collection[str] = ()) -> Path:
    """Write the page of a study, its figures and `results.csv`, and log them to the newest sweep of the study.

    Args:
        slug: of the study.
        uri: of the MLflow store.
        ui: address of the MLflow UI, which links open.
        folder: to write into.
        printed: formats besides SVG that figures are written in, see `study.report.FORMATS`.

    Returns:
        The path of the page.

    Raises:
        study.errors.ConfigError: nothing was tracked under this slug, or the store cannot be used; or a page would be
            replaced by one that lacks a history of it, because that cannot be read any more.
    """
    evidence = gather(uri, slug)
    counted = evidence.runs[evidence.runs["counts"]]
    loaded = {str(run): load_norms(logged) for run, logged in counted["logged"].items()}
    norms = {run: found for run, found in loaded.items() if found is not None}
    lost = {run: why for run, found in loaded.items() if (why := unreadable(counted["logged"][run], found))}
    table = results(evidence, norms)
    plan = load_plan(evidence.parent)
    path = _page(evidence, plan, norms, lost, table, ui).write(folder, "report", printed)
    for sentence in _unread(lost, plan):
        print(sentence, file=sys.stderr)
    write_table(table, folder)
    if evidence.parent is not None:
        evidence.parent.keep(folder, "report")
    return path


def _page(
    evidence: Evidence, plan: Planned, norms: Mapping[str, Norms], lost: Mapping[str, str], table: pd.DataFrame, ui: str
) -> Page:
    found = list(searches(evidence.runs, plan.search, plan.objective))
    sections = [_task(comparison, norms, table) for comparison in evidence.comparisons]
    sections += [section for search in found for section in search_page.sections(search)]
    names = _run_names(evidence, found)
    notes = [*_unread(lost, plan), *_notes(evidence, plan)]
    sections += [*([asked(evidence.answers)] if evidence.answers else []), _runs(evidence)]
    return Page(evidence.slug, _lead(evidence), notes, sections, names, ui, norms.keys(), lost)


def _run_names(evidence: Evidence, searches: list[Search]) -> dict[str, tuple[str, str]]:
    """What the page shows of a run under the pointer, and its MLflow experiment, by run id."""
    trials = {run: name for search in searches for run, name in search_page.trial_names(search).items()}
    rows = {str(run): row for run, row in evidence.runs.iterrows()}
    answers = {answer.run_id: (answer.name, answer.experiment) for answer in evidence.answers}
    return answers | {run: (trials.get(run) or _run_name(row), row["logged"].experiment) for run, row in rows.items()}


def _run_name(row: pd.Series) -> str:
    return f"{row['arm']}, seed {row['seed']}: {', '.join(filter(None, [row['ending'], row['verdict']]))}"


def _lead(evidence: Evidence) -> str:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in Counter(evidence.runs["outcome"]).most_common())
    return (
        f"{len(evidence.runs)} runs in this study ({outcomes}); {int(evidence.runs['counts'].sum())} of them count in "
        "the comparisons below. Point at a mark to see which run it is; click to open the run in MLflow."
    )


def _unread(lost: Mapping[str, str], plan: Planned) -> Iterator[str]:
    """What could not be read: figures and counts are without it."""
    if lost:
        yield describe_lost(lost)
    if plan.unread:
        yield f"The plan of the sweep cannot be read ({plan.unread}), so runs that are missing are not named."


def _notes(evidence: Evidence, plan: Planned) -> Iterator[str]:
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


def _task(comparison: Comparison, norms: Mapping[str, Norms], table: pd.DataFrame) -> Section:
    answers, study = answer(comparison, norms), compare(comparison)
    title = f"{comparison.family}: {comparison.task}" if comparison.family else comparison.task
    several = any(found.measure.seeds > 1 for found in answers)
    reading = compare_readings({found.arm: found.read for found in answers if found.lost < found.runs})
    texts = [text for text in (reading, format_power(study) if several else ONE_SEED) if text]
    explained = EXPLAINED.format(how=POOLED if study.pooled else ALONE) if several else ONE_EACH
    further = by_length(comparison)
    tables = [_table(comparison, answers, explained), *lengths_page.tables(comparison, further)]
    return Section(
        title, texts, tables, list(_pictures(comparison, norms, table, further)), explorer(comparison, norms)
    )


def _pictures(
    comparison: Comparison, norms: Mapping[str, Norms], table: pd.DataFrame, further: pd.DataFrame
) -> Iterator[Picture]:
    """All figures that the runs of a task have data for."""
    flow = gradients.flow_data(comparison)
    drawn = (
        generalisation(comparison, further),
        gradients.norm_histories(
            comparison, {run: found for run, found in norms.items() if run in comparison.runs.index}
        ),
        gradients.flow_by_lag(comparison, flow),
        gradients.flow_over_training(comparison, flow),
        decay_against_exponent(comparison),
        truncation_bias(comparison),
        *maps(comparison, flow),
        *(ablation(comparison, table.loc[comparison.runs.index], varied) for varied in VARIED),
    )
    yield from filter(None, drawn)


def _table(comparison: Comparison, answers: list[Answer], explained: str) -> Table:
    """One row for each arm, below them what they are measured against; columns without content are left out."""
    heads = [Head(head.text.format(measure=comparison.measure), head.help) for head in HEADS]
    rows = [_row(found) for found in answers]
    rows += [[name, value, *["-"] * (len(HEADS) - 3), ""] for name, value in _references(comparison)]
    kept = [i for i in range(len(heads)) if any(row[i] not in ("-", "0") for row in rows)]
    cells = [Row([TableCell(row[j]) for j in kept], quiet=i >= len(answers)) for i, row in enumerate(rows)]
    return Table([heads[i] for i in kept], cells, explained)


def _references(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """The opponents and their values, the best first; of runs of older versions the naive guess."""
    opponents = reached(comparison)
    for name, (low, high) in opponents.items():
        yield name, f"{low:.4g}" if math.isclose(low, high) else f"{low:.4g} to {high:.4g}"
    if not opponents and not math.isnan(comparison.baseline):
        yield NAIVE, f"{comparison.baseline:.4g}"


def _row(found: Answer) -> list[str]:
    gap, several = found.gap, found.runs > 1
    return [
        found.arm,
        format_interval(found.measure).replace(" ", NBSP),
        format_interval(gap).replace(" ", NBSP) if gap is not None and gap.seeds > 1 else "-",
        format_seeds(found.seeds_needed),
        f"{found.beaten:.0%}" if several and not math.isnan(found.beaten) else "-",
        found.beats,
        _counts(found.endings, several),
        _counts(found.verdicts, several),
        _number(found.half_life, ".3g"),
        _number(found.horizon, ".0f"),
        _number(found.clipped, ".0%"),
        *(_number(number, ",.0f") for number in found.size),
        _number(found.read.updates, ".0f"),
        _number(found.read.steps, ",.0f"),
        _number(found.seconds, ".0f"),
        found.sentence,
    ]


def _counts(words: Mapping[str, int], several: bool) -> str:
    """How many runs each word is of; the bare word where there is one run."""
    return ", ".join(f"{count} {word}" if several else word for word, count in words.items()) or "-"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else "none" if math.isinf(value) else format(value, form)


def _runs(evidence: Evidence) -> Section:
    """A table of all runs but the trials of a search, with links."""
    heads = [Head(t) for t in ("run", "task", "arm", "seed", "phase", "outcome", "gradients", "test", "what happened")]
    runs = evidence.runs[evidence.runs["phase"] != "search"]
    rows = [Row(_run_cells(str(run), row), quiet=not row["counts"]) for run, row in runs.iterrows()]
    explained = "Runs in italics do not count: repetitions, and runs that did not finish. Trials are listed above."
    return Section("Runs", [explained], [Table(heads, rows)])


def _run_cells(run: str, row: pd.Series) -> list[TableCell]:
    return [
        TableCell(str(row["name"]), run=run),
        *(TableCell(str(row[key])) for key in ("task", "arm", "seed", "phase", "ending")),
        TableCell(str(row["verdict"]) or "-"),
        TableCell(_number(float(row["value"]), ".4g")),
        TableCell(str(row["note"] or row["error"]).replace("**", "")),
    ]
