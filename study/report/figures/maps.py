"""Maps of two swept keys: how training ended, the gradient left at the horizon, and the measure, with borders."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize

from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.figures.plane import (
    MapCell,
    Swept,
    by_size,
    draw_border,
    draw_map,
    draw_value,
    log_around_one,
    write_cells,
)
from study.figures.style import COLOURS, SEQUENTIAL, legend_below, panels, set_title
from study.report.data.comparison import Comparison
from study.report.data.planes import FEWEST, Plane, cells, planes
from study.report.figures.arms import left_out
from study.report.figures.flow import task_horizon
from study.report.figures.picture import Picture, count_of
from study.schema.identity import config_class
from study.tracking.outcomes import ENDED

ROWS = 8
"""Most combinations of other values with a row of their own."""
LIKE = dict(zip(ENDED, (*(COLOURS[place] for place in (2, 5, 0, 4, 1)), "#7a1f1f"), strict=True))
"""Colours of outcomes."""
DECADES = (2.0, 6.0)
"""The gradient map tells at least and at most so many decades apart, to either side of 1."""
CROSS = "\N{MULTIPLICATION SIGN}"
"""Stands for runs that diverged or were ruined."""
CHAOS = "largest Lyapunov exponent at the start = 0"
RADIUS = "spectral radius at the start = 1"
REACHED = "k2 = horizon of the task"


class Area(NamedTuple):
    """One row of maps: the cells of a panel, (ys, xs), and its axes."""

    x: Swept
    y: Swept
    cells: pd.DataFrame

    def grid(self, column: str) -> Float[np.ndarray, "ys xs"]:
        """A column of the cells as a grid; NaN where no run was made."""
        table = self.cells.pivot(index="y", columns="x", values=column)
        return table.reindex(index=self.y.values, columns=self.x.values).to_numpy(float)

    def draw(self, axes: Axes, values: Float[np.ndarray, "ys xs"], texts: pd.Series, colouring: ScalarMappable) -> None:
        """Draw a map of some values of the cells, with a text in each."""
        made = ~np.isnan(self.grid("runs"))
        write_cells(axes, self.x, self.y, self._texts(texts), draw_map(axes, self.x, self.y, values, made, colouring))

    def _texts(self, texts: pd.Series) -> dict[tuple[int, int], MapCell]:
        """A text for every cell, by row and column."""
        rows, columns = np.searchsorted(self.y.values, self.cells["y"]), np.searchsorted(self.x.values, self.cells["x"])
        found = zip(rows.tolist(), columns.tolist(), texts, self.cells["run_id"], strict=True)
        return {(row, column): MapCell(text, run) for row, column, text, run in found}


def maps(comparison: Comparison, flow: pd.DataFrame) -> Iterator[Picture]:
    """A picture for each two keys that the arms of a task sweep together.

    Args:
        comparison: of the task.
        flow: see `study.report.figures.flow.flow_data`.
    """
    for plane in planes(comparison):
        yield _picture(comparison, plane, cells(plane, flow))


def _picture(comparison: Comparison, plane: Plane, data: pd.DataFrame) -> Picture:
    names = list(dict.fromkeys(data["panel"]))
    shown = data[data["panel"].isin(names[:ROWS])]
    x, y = (Swept(key, np.sort(shown[place].unique())) for key, place in zip(plane.keys, "xy", strict=True))
    colourings = (
        ScalarMappable(Normalize(-0.5, len(LIKE) - 0.5), ListedColormap(list(LIKE.values()))),
        log_around_one(shown["share"].to_numpy(float), *DECADES),
        by_size(shown["value"].to_numpy(float), SEQUENTIAL),
    )
    with panels(3 * len(names[:ROWS]), 3, height=2.7) as (figure, grid):
        borders = set()
        for row, name in enumerate(names[:ROWS]):
            area, axes = Area(x, y, shown[shown["panel"] == name]), grid[3 * row : 3 * row + 3]
            _draw_outcomes(axes[0], area, colourings[0])
            _draw_shares(axes[1], area, colourings[1])
            _draw_values(axes[2], area, colourings[2])
            for one in axes:
                borders |= set(_draw_borders(one, area, comparison, plane))
            titles = ("how training ended", "gradient left at the horizon", f"{comparison.measure} on test")
            for one, title in zip(axes, titles, strict=True):
                set_title(one, f"{name}: {title}" if len(names) > 1 else title)
        _add_bar(grid[1::3], colourings[1], "share of lag 0", (VANISHED, EXPLODED))
        _add_bar(grid[2::3], colourings[2], f"{comparison.measure} ({_better(comparison)} is better)")
        legend_below(figure)
    return Picture(
        f"{comparison.task}-map-{x.label}-{y.label}".replace(".", "-"),
        f"Map of {x.label} and {y.label}",
        " ".join(_caption(comparison, shown, len(x.values) * len(y.values), borders, len(names)))
        + _not_in(comparison, plane),
        figure,
        data,
    )


def _add_bar(column: list[Axes], colouring: ScalarMappable, label: str, marks: tuple[float, ...] = ()) -> None:
    """The scale of a column of maps, below it; arrows where it has marks, beyond which colours stay the same."""
    place: Any = {"location": "bottom", "shrink": 0.9, "aspect": 30, "extend": "both" if marks else "neither"}
    bar = column[0].figure.colorbar(colouring, ax=column, label=label, **place)
    bar.minorticks_off()
    for mark in marks:
        bar.ax.axvline(mark, color="#000000", lw=1)


def _better(comparison: Comparison) -> str:
    return "more" if comparison.maximize else "less"


def _draw_outcomes(axes: Axes, area: Area, colouring: ScalarMappable) -> None:
    """The outcome of most runs of a cell, by colour and first letter."""
    cells = area.cells.assign(number=area.cells["outcome"].map(list(LIKE).index))
    split = cells["agree"] < cells["runs"]
    counts = (" " + cells["agree"].astype(str) + "/" + cells["runs"].astype(str)).where(split, "")
    numbered = area._replace(cells=cells)
    numbered.draw(axes, numbered.grid("number"), cells["outcome"].map(_letter) + counts, colouring)
    for outcome, shade in LIKE.items():
        if outcome in set(cells["outcome"]):
            axes.plot([], [], "s", ms=8, color=shade, label=f"{outcome} ({_letter(outcome)})")


def _letter(outcome: str) -> str:
    return outcome[0].upper()


def _draw_shares(axes: Axes, area: Area, colouring: ScalarMappable) -> None:
    area.draw(axes, area.grid("share"), area.cells["share"].map(_short), colouring)


def _draw_values(axes: Axes, area: Area, colouring: ScalarMappable) -> None:
    """The measure; a cross where runs were lost, with their number where not all were."""
    numbers, lost = area.cells["value"].map(lambda value: f"{value:.3g}"), area.cells["lost"]
    some = numbers + "\n" + lost.astype(str) + f" {CROSS}"
    texts = numbers.mask(lost > 0, some).mask(area.cells["value"].isna(), CROSS)
    area.draw(axes, area.grid("value"), texts, colouring)


def _short(share: float) -> str:
    """A share in a few characters; a question mark where it was not measured."""
    if np.isnan(share) or share < 1e-29:
        return "?" if np.isnan(share) else "0"
    return f"{share:.2g}" if 1e-3 <= share < 1e3 else f"{share:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _draw_borders(axes: Axes, area: Area, comparison: Comparison, plane: Plane) -> Iterator[str]:
    """Where theory puts a border: the labels of those drawn."""
    if draw_border(axes, area.x, area.y, area.grid("exponent"), 0.0, CHAOS, "-"):
        yield CHAOS
    mine = plane.runs["panel"] == area.cells["panel"].iloc[0]
    if _acts_alone(plane.runs[mine]) and draw_border(axes, area.x, area.y, area.grid("radius"), 1.0, RADIUS, "--"):
        yield RADIUS
    horizon = task_horizon(comparison)
    for swept in (area.x, area.y):
        if swept.label == "bptt.k2" and horizon is not None and draw_value(axes, swept, horizon, REACHED, ":"):
            yield REACHED


def _acts_alone(runs: pd.DataFrame) -> bool:
    """Whether the networks of a panel are of one kind, whose theory at rest is that of its recurrent matrix."""
    names = set(runs.get("params.model.name", pd.Series(dtype=str)))
    return len(names) == 1 and getattr(config_class("model", names.pop()), "matrix_is_jacobian_at_rest", False)


def _caption(
    comparison: Comparison, cells: pd.DataFrame, places: int, borders: set[str], combinations: int
) -> Iterator[str]:  # fmt: skip
    low, high = cells["runs"].min(), cells["runs"].max()
    yield (
        f"{count_of(int(cells['runs'].sum()), 'run')}, {low if low == high else f'{low} to {high}'} a cell. Left: the "
        "outcome of most runs of a cell; where as many ended otherwise, the worse. Middle: phi_h / phi_0 at the "
        "horizon h of the task (or the largest lag measured, if that is less), at the last measurement of each run, "
        "which of a diverged one is from before; geometric mean over runs. Blue: less than at the loss, red: more; "
        f"lines on the scale: below {VANISHED:.0%} it counts as vanishing, above {EXPLODED:g} times as exploding; "
        f"beyond the arrows the colour stays. Right: {comparison.measure}, mean over runs that neither diverged nor "
        f"were ruined; {CROSS}: those that did, without a number, or grey: all of them."
    )
    drawn = cells["panel"].nunique()
    if missing := places * drawn - len(cells):
        yield f"Empty: no run that counts ({missing} of {missing + len(cells)} cells)."
    if drawn < combinations:
        yield f"Only {drawn} of {combinations} combinations of the other values are drawn; the data hold all."
    yield from _borders(cells, borders)


def _not_in(comparison: Comparison, plane: Plane) -> str:
    """Names the arms that have no cell, such as those without a threshold."""
    arms, (x, y) = set(plane.runs["arm"]), plane.keys
    reason = f"no number for {x} or {y}, or fewer than {FEWEST} of one beside the same other values"
    return left_out({reason: [arm for arm in comparison.arms if arm not in arms]})


def _borders(cells: pd.DataFrame, drawn: set[str]) -> Iterator[str]:
    """What the lines are, or why there is none."""
    if CHAOS in drawn:
        yield (
            "Solid line: the largest Lyapunov exponent, measured on the task's data before the first update, is 0. "
            "Where it is above, gradients of the untrained network grow with the lag; where below, they shrink."
        )
    elif cells["exponent"].notna().any():
        low, high = cells["exponent"].min(), cells["exponent"].max()
        yield (
            "No border of Lyapunov exponents: the largest, measured before the first update, is "
            f"{low:.2g} to {high:.2g} nats a step and crosses 0 in no map."
        )
    else:
        yield "No border of Lyapunov exponents: none was measured before the first update (probe.start)."
    if RADIUS in drawn:
        yield (
            "Dashed: the spectral radius of the recurrent matrix at the start is 1, the border of the network at rest, "
            "without input (Pascanu, Mikolov & Bengio 2013)."
        )
    if REACHED in drawn:
        yield "Dotted: k2 is the horizon; gradients flow back k2 - 1 steps, so only beyond the line do they get there."
