"""Learning curves: what runs reached on the training and the validation part while they trained, arm by arm."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.limits import limit, spans_decades
from study.figures.style import Curve, draw_curves, integer_ticks, legend_below, line_style, panels
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms
from study.report.figures.arms import OVERLAID, choose
from study.report.figures.picture import Picture, count_of
from study.schema.budget import ALIKE
from study.tracking.outcomes import LOST
from study.tracking.reader import Logged

GRID = 200
"""Most abscissas of a median."""
ALIKE_UP_TO = 2
"""The axis is linear where values that stay in the panel lie within this factor of each other."""


@dataclass(frozen=True)
class LearningCurve:
    """One number of one run over training.

    Attributes:
        run: its id.
        arm: of the run.
        lost: whether the run diverged or was ruined.
        updates: abscissas.
        steps: losses taken up to each of them; NaN of runs that did not record how many there are.
        values: ordinates.
    """

    run: str
    arm: str
    lost: bool
    updates: np.ndarray
    steps: np.ndarray
    values: np.ndarray


def learning_curves(comparison: Comparison, norms: Mapping[str, Norms]) -> Picture | None:
    """Training loss and measure on validation over updates, and over steps read where arms differ in these.

    Args:
        comparison: of the task.
        norms: by run id, with the training losses.
    """
    runs = {run: found for run, found in norms.items() if run in comparison.runs.index and found.losses is not None}
    arms, missing = choose(comparison, set(comparison.runs.loc[list(runs), "arm"]), OVERLAID, "no history was recorded")
    shown = comparison.runs[comparison.runs["arm"].isin(arms) & comparison.runs.index.isin(list(runs))]
    if shown.empty:
        return None
    drawn = {"training loss": _training(shown, runs)} | _validation(comparison, shown)
    abscissas = ["updates", "steps"] if _unequal(shown) else ["updates"]
    with panels(len(abscissas) * len(drawn), len(drawn), height=2.9, sharey=False) as (figure, grid):
        places = [(abscissa, label) for abscissa in abscissas for label in drawn]
        for axes, (abscissa, label) in zip(grid, places, strict=True):
            _draw(axes, comparison, drawn[label], abscissa)
            axes.set(xlabel={"updates": "update", "steps": "steps read"}[abscissa], ylabel=label)
        legend_below(figure)
    return Picture(
        f"{comparison.task}-learning-curves",
        "Learning curves",
        f"Thin: {count_of(len(shown), 'run')}, one line a seed; thick: the median of an arm's seeds, as long as at "
        "least half of them train on. Training loss: median over buckets of consecutive updates. The axes are made for "
        "the runs that were not lost; a triangle marks where another leaves its panel, with how far it goes."
        f"{_below(abscissas)}{missing}",
        figure,
        pd.concat([_table(course, label) for label, found in drawn.items() for course in found]),
    )


def _below(abscissas: list[str]) -> str:
    unequal = " Below, the same over the steps at which losses were taken, since arms differ in steps per update."
    return unequal if len(abscissas) > 1 else ""


def _training(shown: pd.DataFrame, norms: Mapping[str, Norms]) -> list[LearningCurve]:
    found = ((str(run), row, norms[str(run)].losses) for run, row in shown.iterrows())
    return [_course(run, row, losses.updates, losses.loss) for run, row, losses in found if losses is not None]


def _validation(comparison: Comparison, shown: pd.DataFrame) -> dict[str, list[LearningCurve]]:
    """The measure that ranks runs, of runs without it the loss, by its label; empty where none was logged."""
    named = f"{comparison.measure}/val"
    key = named if any(named in run.measures for run in comparison.runs["logged"]) else "loss/val"
    found = [course for run, row in shown.iterrows() if (course := _validated_course(str(run), row, key)) is not None]
    return {f"{key.removesuffix('/val')} on validation": found} if found else {}


def _validated_course(run: str, row: pd.Series, key: str) -> LearningCurve | None:
    logged: Logged = row["logged"]
    points = sorted({step: value for _, step, value in logged.points([key])}.items())
    return _course(run, row, *np.array(points, float).T) if points else None


def _course(run: str, row: pd.Series, updates: np.ndarray, values: np.ndarray) -> LearningCurve:
    finite = np.where(np.isfinite(values) & (np.abs(values) < np.finfo(float).max), values, np.nan)
    return LearningCurve(run, row["arm"], row["outcome"] in LOST, updates, updates * _steps(row), finite)


def _steps(row: pd.Series) -> float:
    """Losses that an update is made of, the mean over a run."""
    return float(row["steps"]) / float(row["updates"]) if row["updates"] else np.nan


def _unequal(shown: pd.DataFrame) -> bool:
    """Whether runs differ in steps per update."""
    each = (shown["steps"] / shown["updates"]).dropna()
    return bool(len(each) == len(shown) and each.max() > (1 + ALIKE) * each.min())


def _draw(axes: Axes, comparison: Comparison, courses: list[LearningCurve], abscissa: str) -> None:
    """One panel: a thin line a run, a thick one an arm."""
    kept, lost = (_values(course for course in courses if course.lost == which) for which in (False, True))
    log = _is_log(kept, lost)
    curves = list(_curves(comparison, courses, abscissa))
    draw_curves(axes, curves)
    axes.set_yscale("log" if log else "linear")
    limit(axes, kept, lost, [curve for curve in curves if curve.run])
    integer_ticks(axes.xaxis)


def _values(courses: Iterable[LearningCurve]) -> np.ndarray:
    return np.concatenate([[], *(course.values for course in courses)])


def _is_log(kept: np.ndarray, lost: np.ndarray) -> bool:
    """Whether an ordinate is logarithmic: where values span decades, and those of runs not lost are not all alike."""
    present = kept[np.isfinite(kept)]
    alike = len(present) and present.max() < ALIKE_UP_TO * present.min()
    return spans_decades(np.concatenate([kept, lost])) and not alike


def _curves(comparison: Comparison, courses: list[LearningCurve], abscissa: str) -> Iterator[Curve]:
    for arm in dict.fromkeys(sorted((course.arm for course in courses), key=comparison.place)):
        mine = [course for course in courses if course.arm == arm]
        style = line_style(comparison.place(arm))
        single = len(mine) == 1
        thin = style if single else style | {"lw": 0.8, "alpha": 0.55, "ls": "-"}
        for course in mine:
            label = arm if single else ""
            yield Curve(getattr(course, abscissa), course.values, label, thin | _dots(course.values), course.run)
        if not single:
            grid, middle = _median(mine, abscissa)
            yield Curve(grid, middle, arm, style | {"lw": 2.0} | _dots(middle))


def _dots(values: np.ndarray) -> dict[str, str]:
    """A dot where there is a single point: a line through it cannot be seen."""
    return {"marker": "o" if len(values) == 1 else ""}


def _median(courses: list[LearningCurve], abscissa: str) -> tuple[np.ndarray, np.ndarray]:
    """The median over runs, between their points by straight lines; a gap where fewer than half go on."""
    spans = [getattr(course, abscissa) for course in courses]
    grid = np.unique(np.concatenate(spans))
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, min(len(grid), GRID)).astype(int))]
    rows = [np.interp(grid, x, course.values, np.nan, np.nan) for x, course in zip(spans, courses, strict=True)]
    table = pd.DataFrame(np.array(rows))
    return grid, table.median().where(2 * table.notna().sum() >= len(courses)).to_numpy()


def _table(course: LearningCurve, label: str) -> pd.DataFrame:
    columns = {"update": course.updates, "steps": course.steps, "value": course.values}
    return pd.DataFrame({"run_id": course.run, "arm": course.arm, "of": label, **columns})
