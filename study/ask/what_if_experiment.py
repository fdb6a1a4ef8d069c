"""The page of what other clip policies would have done to the runs of an experiment, by task, arm and policy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from study.analysis.what_if import share_acted
from study.ask.finding import Finding
from study.ask.replays import Replayed
from study.ask.what_if_run import ANOTHER, SILENT, number, share
from study.report.data.runs import gather
from study.report.pages.page import Head, Row, Section, Table, TableCell
from study.schema.clip import ClipConfig
from study.schema.identity import deciding, flatten

HEADS = (
    Head("arm"),
    Head("policy"),
    Head("runs"),
    Head("role", "in how many runs which, by the rule of the diagnosis"),
    Head("acted", "share of the updates in which it would have acted: mean over the runs"),
    Head("range", "smallest and largest of the runs"),
    Head("trained", "acted, when the experiment trained the same under this policy: mean over the seeds that it has"),
    Head("step", "mean of applied over total norm"),
    Head("first difference", "median of the first update at which it applies another gradient than the run did"),
    Head("exact", "share of the updates up to there, mean over the runs"),
)


def finding(found: Sequence[Replayed]) -> Finding:
    """What was found, over all runs."""
    table = by_run(found)
    sections = [Section(str(task), tables=[_table(rows)]) for task, rows in table.groupby("task")]
    proven = [one.did.proven for one in found if one.did.proven is not None]
    updates = sum(len(one.past.course.norms) for one in found)
    silent = sorted({name for one in found for name in one.silent})
    proof = (
        f"Proof: their own policies, replayed, apply what was recorded at {sum(int(p.sum()) for p in proven):,} of "
        f"{sum(map(len, proven)):,} updates. Not asked: {', '.join(silent) or 'none'}"
        + (f"; {SILENT}." if silent else ".")
    )
    return Finding(
        "what-if",
        [one.run for one in found],
        f"{table['label'].nunique()} clip policies, {len(found)} runs, {updates:,} updates in all. {_extremes(table)}",
        ANOTHER,
        [Section("How far this can be trusted", [proof]), *sections],
        {"what-if": table},
    )


def by_run(found: Sequence[Replayed]) -> pd.DataFrame:
    """One row for every run and policy, with the task and the arm of the run; see `summary`.

    `trained` is the share of the updates in which the policy acted in the run of the same seed that was trained under
    it and is alike in all else that decides a training; NaN where there is none among these runs.
    """
    seen = {_identity(one, one.own): share_acted(one.past.acted) for one in found}
    experiment = gather(found[0].run.uri, str(found[0].record["slug"])).runs
    arms = experiment[["task", "arm"]].reindex([one.run.run_id for one in found]).fillna("")
    rows = [
        one.table().assign(
            trained=[seen.get(_identity(one, config), np.nan) for config, _ in one.policies.values()],
            run_id=one.run.run_id,
            task=task,
            arm=arm,
        )
        for one, (task, arm) in zip(found, arms.to_numpy(), strict=True)
    ]
    return pd.concat(rows, ignore_index=True)


def _identity(one: Replayed, clip: ClipConfig) -> tuple[object, ...]:
    """What is equal for a run, were it trained under a policy, and for the run that was."""
    flat = {key: str(value) for key, value in flatten({**one.record, "clip": clip.model_dump()})}
    return (one.record["seed"], *sorted(deciding(flat).items()))


def _table(rows: pd.DataFrame) -> Table:
    """The runs of a task by arm and policy, both in the order they came in."""
    shown = [
        Row([TableCell(cell) for cell in ("" if place else str(arm), str(label), *_cells(mine))])
        for arm, of_arm in rows.groupby("arm", sort=False)
        for place, (label, mine) in enumerate(of_arm.groupby("label", sort=False))
    ]
    return Table(
        HEADS, shown, "p90: the 90th percentile of every run's own norms. Every arm's own policy is the first."
    )


def _cells(mine: pd.DataFrame) -> list[str]:
    roles = mine["role"].value_counts()
    counted = ", ".join(f"{role} {count}" if len(roles) > 1 else str(role) for role, count in roles.items())
    exact = (mine["exact"] / mine["updates"]).mean()
    return [
        str(len(mine)),
        counted,
        share(mine["acted"].mean()),
        f"{share(mine['acted'].min())} to {share(mine['acted'].max())}",
        share(mine["trained"].mean()),
        f"{mine['effective_step'].mean():.3g}",
        number(mine["first_difference"].median()),
        share(exact),
    ]


def _extremes(table: pd.DataFrame) -> str:
    """The policies that would have acted most and least often, on average over all runs."""
    means = table[~table["own"] & (table["acted"] > 0)].groupby("label")["acted"].mean().sort_values()
    if means.empty:
        return "No other policy would have acted in any of them."
    return (
        f"{means.index[-1]} would have acted most often, in {means.iloc[-1]:.1%} of the updates of a run on average, "
        f"and of those that act at all {means.index[0]} least, in {means.iloc[0]:.1%}."
    )
