"""The runs of a study read from MLflow, by task, arm and seed."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from study.errors import ConfigError
from study.report.data.comparison import KNOWN, Comparison, rank
from study.report.data.plan import load_plan
from study.report.data.reading import tried
from study.schema.arm_names import name_arms
from study.schema.identity import deciding
from study.tracking.absent import without_runs
from study.tracking.answers import QUESTIONS
from study.tracking.outcomes import ENDED, FINISHED
from study.tracking.reader import Logged, frame, search
from study.tracking.view import without_pictures

NUMBERS = {
    "updates": "metrics.run/updates",
    "seconds": "metrics.run/seconds",
    "megabytes": "metrics.run/memory_mb",
    "decay": "metrics.flow/decay",
    "horizon": "metrics.flow/horizon",
    "lyapunov": "metrics.lyapunov/largest",
    "autonomous": "metrics.lyapunov/autonomous",
    "spectral_radius": "metrics.weights/spectral_radius",
}
"""Columns of `Evidence.runs` and the metrics in them; NaN where a run has no such metric."""


CIRCUMSTANCES = {"commit": "git_commit", "versions": "versions", "cpu": "cpu", "overrides": "overrides"}
"""Columns of `Evidence.runs` that say how to get a run's numbers again, and the tags in them; empty in older runs."""


COUNTS = {"steps": "steps_read", "parameters": "parameters", "state_size": "state_size"}
"""Columns of `Evidence.runs` and the tags in them: the forty charts of a run are taken; NaN in older runs."""


@dataclass(frozen=True)
class Evidence:
    """All tracked runs of a study.

    Attributes:
        slug: of the study.
        uri: of the MLflow store.
        parent: MLflow run of its newest sweep; None where runs were made one by one.
        runs: one row a training run, by run id, oldest first: `logged`, `name`, `note`, `data_notes` (of its task),
            `error`, `task`, `family`, `arm`, `seed`, `phase` (grid, search, confirm), `candidate` (the number of a
            search trial that has several runs), `outcome` (a word of `study.tracking.outcomes`, or running), `ending`
            (the same with the cause in brackets, if there is one), `solved` (whether the task's criterion is met; empty
            where it has none), `verdict`, `clipping`, `opponents` (labels and values on test, as JSON), `measure` (its
            name), `value` (on test; NaN of runs without one), `validation`, `baseline`, `counts` (whether the answer
            rests on it), the columns of `NUMBERS`, `COUNTS` and `CIRCUMSTANCES`, `params.*`.
        comparisons: one a task, in the order of their names.
        answers: to questions about these runs, forks among them.
        experiment: its id in MLflow.
    """

    slug: str
    uri: str
    parent: Logged | None
    runs: pd.DataFrame
    comparisons: list[Comparison]
    answers: list[Logged] = field(default_factory=list)
    experiment: str = ""


def gather(uri: str, slug: str) -> Evidence:
    """Read a study from its store.

    Raises:
        ConfigError: there is no such store, or nothing in it under this slug.
    """
    rows = frame(search(uri, slug=slug))
    kind = column(rows, "tags.kind")
    if not (kind == "").any():
        why = without_runs(uri, slug) or f"no run has been tracked under this slug in {uri}"
        raise ConfigError(f"EXPERIMENT = {slug!r}: {why}")
    sweeps, runs = rows[kind == "sweep"], _described(rows[kind == ""])
    parent = sweeps["logged"].iloc[-1] if len(sweeps) else None
    by_task, planned = runs[runs["counts"]].groupby("task"), load_plan(parent).search
    tuned = _tuned(runs[runs["phase"] == "search"], planned)
    compared = [tried(f"The comparison of {task}", partial(_compare, task, group, tuned)) for task, group in by_task]
    comparisons = [comparison for comparison in compared if comparison is not None]
    answers = rows.loc[kind.isin(QUESTIONS), "logged"].tolist()
    experiment = rows["logged"].iloc[0].experiment
    return Evidence(slug, uri, parent, _named(runs, comparisons), comparisons, answers, experiment)


def single(run: Logged) -> Comparison:
    """One run as a comparison of one arm, whether it counts or not."""
    described = _described(frame([run]))
    return _compare(described["task"].iloc[0], described)


def column(rows: pd.DataFrame, key: str, default: object = "") -> pd.Series:
    """A column that runs may or may not have, gaps filled."""
    found = rows.get(key)
    return pd.Series(default, rows.index) if found is None else found.where(found.notna(), default)


def _described(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Evidence.runs`; arms by digest, not yet by name."""
    common = rows[["logged", "name", *(c for c in map(str, rows) if c.startswith("params."))]]
    facts = {
        "note": column(rows, "tags.mlflow.note.content").astype(str).map(without_pictures),
        "data_notes": column(rows, "tags.notes"),
        "error": column(rows, "tags.error"),
        "task": column(rows, "tags.task", "unknown"),
        "family": column(rows, "tags.family", ""),
        "phase": column(rows, "tags.phase", "grid"),
        "label": column(rows, "tags.arm"),
        "arm_name": column(rows, "tags.arm_name"),
        "candidate": column(rows, "tags.candidate"),
        "verdict": column(rows, "tags.verdict"),
        "ending": _endings(rows),
        "solved": column(rows, "tags.solved"),
        "clipping": column(rows, "tags.clipping"),
        "opponents": column(rows, "tags.opponents"),
        "seed": _seeds(column(rows, "params.seed", -1)),
        "outcome": _outcomes(rows),
        "arm": _digests(rows),
    }
    facts |= {name: column(rows, f"tags.{key}") for name, key in CIRCUMSTANCES.items()}
    facts |= {
        name: pd.to_numeric(column(rows, f"tags.{key}", math.nan), errors="coerce") for name, key in COUNTS.items()
    }
    numbers = {name: column(rows, key, math.nan).astype(float) for name, key in NUMBERS.items()}
    runs = common.assign(**facts, **numbers, **_measured(rows, facts["task"]))
    runs["value"] = runs["value"].where(runs["outcome"].isin(FINISHED))
    runs["counts"] = _counting(runs, column(rows, "tags.reproduces"))
    return runs.copy()


def _seeds(texts: pd.Series) -> pd.Series:
    """Seeds as numbers; -1 where a run has none, or a text that is none."""
    numbers = pd.to_numeric(texts, errors="coerce")
    return numbers.where(numbers.abs() < 2**53, -1).astype(int)


def _outcomes(rows: pd.DataFrame) -> pd.Series:
    """The outcome of every run; MLflow's status where the run ended before it could tag one."""
    status = column(rows, "status").map({"RUNNING": "running", "FAILED": "failed", "KILLED": "killed"})
    return status.where(status.notna(), column(rows, "tags.outcome", "completed"))


def _endings(rows: pd.DataFrame) -> pd.Series:
    """The outcome of every run and, where a diagnosis found one, what kept it from more."""
    cause = column(rows, "tags.cause")
    return _outcomes(rows) + (" (" + cause + ")").where(~cause.isin(["", "none"]), "")


def _digests(rows: pd.DataFrame) -> pd.Series:
    """The same text for runs of the same arm."""
    return pd.util.hash_pandas_object(deciding_parameters(rows).astype(str), index=False).astype(str)


def deciding_parameters(rows: pd.DataFrame) -> pd.DataFrame:
    """The parameters that decide a run's training but the seed, one column a key; see `study.schema.identity`."""
    columns = {key: key.removeprefix("params.") for key in map(str, rows) if key.startswith("params.")}
    records = rows[list(columns)].rename(columns=columns).to_dict("records")
    logged = ({str(key): str(value) for key, value in record.items() if pd.notna(value)} for record in records)
    return pd.DataFrame([deciding(record) for record in logged], index=rows.index)


def _measured(rows: pd.DataFrame, tasks: pd.Series) -> dict[str, pd.Series]:
    """The name and the values of the measure that ranks a run's task."""
    found = pd.DataFrame(index=rows.index, columns=["value", "validation", "baseline"], dtype=float)
    name = pd.Series("loss", rows.index)
    for _, group in rows.groupby(tasks):
        of_task = _ranking_measure(group["logged"])
        name[group.index] = of_task
        for kind, split in (("value", "test"), ("validation", "val"), ("baseline", "baseline")):
            found.loc[group.index, kind] = column(group, f"metrics.{of_task}/{split}", math.nan).astype(float)
    return {"measure": name, **{str(kind): found[kind] for kind in found}}


def _ranking_measure(runs: pd.Series) -> str:
    """The measure that ranks the runs of a task: as the newest of them recorded it."""
    recorded = [run.tags["primary"] for run in runs if "primary" in run.tags]
    taken = (m for m in KNOWN if any(not math.isnan(run.measures.get(f"{m}/test", math.nan)) for run in runs))
    return recorded[-1] if recorded else next(taken, "loss")


def is_maximized(measure: str, runs: Iterable[Logged]) -> bool:
    """Whether more of the measure that ranks the runs of a task is better: as the newest of them recorded it."""
    recorded = [run.tags["direction"] for run in runs if run.tags.get("primary") == measure and "direction" in run.tags]
    return (recorded[-1] if recorded else KNOWN.get(measure)) == "maximize"


def _counting(runs: pd.DataFrame, reproduces: pd.Series) -> pd.Series:
    """Whether a run counts: the newest of its arm and seed that ended does.

    Search trials, confirmations of a winner that a longer search replaced, and reproductions do not count.
    """
    ended = runs["outcome"].isin(ENDED) & runs["phase"].isin(["grid", "confirm"]) & (reproduces == "")
    newest = ~runs[ended].duplicated(["task", "arm", "seed"], keep="last")
    return ended & newest.reindex(runs.index, fill_value=False)


def _tuned(trials: pd.DataFrame, planned: Collection[str]) -> frozenset[str]:
    """The keys in which search trials of one arm differ, as far as they, or the group they are of, are to be tuned."""
    values = deciding_parameters(trials).astype(str).groupby([trials["task"], trials["label"]]).nunique()
    differing = (str(key) for key in values if (values[key] > 1).any())
    return frozenset(key for key in differing if key in planned or key.partition(".")[0] in planned)


def _compare(task: object, group: pd.DataFrame, tuned: frozenset[str] = frozenset()) -> Comparison:
    """Compare the runs of a task: name its arms by what sets them apart, and rank them."""
    measure = str(group["measure"].iloc[0])
    maximize = is_maximized(measure, group["logged"])
    named = group.assign(arm=group["arm"].map(recorded_names(group) or name_arms(configurations(group))))
    ranked = measure, maximize, named, rank(named, maximize)
    return Comparison(str(task), str(group["family"].iloc[0]), *ranked, tuned)


def recorded_names(runs: pd.DataFrame) -> dict[str, str]:
    """The newest names that runs of every arm recorded; none where an arm has none, or two have the same."""
    named = runs[runs["arm_name"] != ""]
    names = {str(arm): str(name) for arm, name in named.groupby("arm")["arm_name"].last().items()}
    return names if len(set(names.values())) == runs["arm"].nunique() else {}


def configurations(group: pd.DataFrame) -> Mapping[str, Mapping[str, str]]:
    """The deciding parameters of every arm."""
    first = group.drop_duplicates("arm")
    values = zip(first["arm"], deciding_parameters(first).to_dict("records"), strict=True)
    return {str(arm): {str(k): str(v) for k, v in row.items() if pd.notna(v)} for arm, row in values}


def _named(runs: pd.DataFrame, comparisons: list[Comparison]) -> pd.DataFrame:
    """All runs with the names of their arms in the comparisons; those in none with that from the sweep."""
    names = pd.concat([c.runs["arm"] for c in comparisons]) if comparisons else pd.Series(dtype=str)
    known = dict(zip(runs.loc[names.index, "arm"], names, strict=True))
    said = runs["arm_name"].where(runs["arm_name"] != "", runs["label"])
    fallback = said.where(said != "", runs["name"])
    return runs.assign(arm=runs["arm"].map(known).fillna(fallback))
