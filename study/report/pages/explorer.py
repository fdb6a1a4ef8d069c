"""Curves of a task to look into: arms to be switched off, values under the pointer, a logarithmic or linear ordinate.

Drawn by Plotly, which has all of this: it takes a description of the figure, so that there is no script of our own to
keep but the lines that start it. Its script, 4.8 MB, adds 2.0 MB to a page, packed, and 0.2 s to writing one; Bokeh's,
1.3 MB (0.5 packed), needs a second figure for the logarithmic ordinate and half a second to import; one of our own
would be a plotting library to maintain.
"""

import base64
import gzip
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from study.figures.limits import spans_decades
from study.figures.style import line_style
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms
from study.report.figures.picture import count_of, on_page
from study.tracking.reader import Logged

ARMS = 24
"""Most arms to choose from: the best ones."""
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
"""Those of matplotlib in Plotly's words."""
INK, PAPER = "#1f2328", "#ffffff"
"""Of menus: Plotly's own background of a chosen entry is light on a dark page too."""
Points = tuple[Sequence[int], Sequence[float | None]]
"""Updates and values; None where one is not finite."""


@dataclass(frozen=True)
class Explorer:
    """An interactive figure.

    Attributes:
        caption: what is shown.
        figure: `data` and `layout` as Plotly takes them.
    """

    caption: str
    figure: Mapping[str, Any]


def _losses(run: Logged, norms: Norms) -> Points:
    return ([], []) if norms.losses is None else (norms.losses.updates.tolist(), norms.losses.loss.tolist())


def _validation(run: Logged, norms: Norms) -> Points:
    points = sorted((step, value) for _, step, value in run.points(["loss/val"]))
    return [step for step, _ in points], [value for _, value in points]


QUANTITIES: Mapping[str, Callable[[Logged, Norms], Points]] = {
    "training loss": _losses,
    "validation loss": _validation,
    "gradient norm": lambda _, norms: (norms.history.updates.tolist(), norms.history.before[1].tolist()),
    "largest norm": lambda _, norms: (norms.history.updates.tolist(), norms.history.before[2].tolist()),
    "applied norm": lambda _, norms: (norms.history.updates.tolist(), norms.history.after[1].tolist()),
}
"""What can be chosen, by its name in the menu."""


def explorer(comparison: Comparison, norms: Mapping[str, Norms]) -> Explorer | None:
    """The curves of all runs of a task; None where no run has a history.

    Args:
        comparison: of the task.
        norms: by run id.
    """
    arms = [arm for arm in comparison.arms if set(comparison.arm(arm).index) & set(norms)]
    runs = [str(run) for arm in arms[:ARMS] for run in comparison.arm(arm).index if run in norms]
    if not runs:
        return None
    rows = comparison.runs.loc[runs]
    found = {
        name: [_drawable(*read(logged, norms[run])) for run, logged in zip(runs, rows["logged"], strict=True)]
        for name, read in QUANTITIES.items()
    }
    first = next(iter(found.values()))
    lines = [_line(comparison, str(run), row["arm"], int(row["seed"])) for run, row in rows.iterrows()]
    shown = dict.fromkeys(rows["arm"])
    data = [
        line | {"x": x, "y": y, "showlegend": shown.pop(line["legendgroup"], True) is None}
        for line, (x, y) in zip(lines, first, strict=True)
    ]
    more = f" Only the best {ARMS} of {len(arms)} arms." if len(arms) > ARMS else ""
    return Explorer(
        f"{count_of(len(runs), 'run')}. Histories: medians over buckets of consecutive updates, at most 100; of "
        "gradient norms also the largest in each. Click an arm in the legend to switch it off, twice to see it alone; "
        f"drag to enlarge, double-click to go back; click a curve to open its run in MLflow.{more}",
        {"data": data, "layout": _layout(found)},
    )


def _line(comparison: Comparison, run: str, arm: str, seed: int) -> dict[str, Any]:
    """A curve without its points, as its arm looks in other pictures; names are texts, never markup."""
    style, name = line_style(comparison.arms.index(arm)), html.escape(arm)
    return {
        "type": "scatter", "name": name, "legendgroup": arm, "meta": [f"{name}, seed {seed}", run],
        "line": {"color": on_page(style["color"]), "dash": DASHES[style["ls"]], "width": 1.5},
        "hovertemplate": "%{meta[0]}<br>update %{x}: %{y:.4g}<extra></extra>",
    }  # fmt: skip


def _layout(found: Mapping[str, list[Points]]) -> dict[str, Any]:
    """Axes, a menu of what is shown, and buttons for its ordinate."""
    values = [y for _, y in next(iter(found.values()))]
    scale = "log" if spans_decades([y for ys in values for y in ys if y is not None]) else "linear"
    grid = {"gridcolor": "rgba(128, 128, 128, 0.25)", "zeroline": False, "automargin": True}
    return {
        "xaxis": {"title": {"text": "update", "standoff": 4}, **grid},
        "yaxis": {"title": {"text": next(iter(found))}, "type": scale, "exponentformat": "power", **grid},
        "updatemenus": [
            _menu("dropdown", 0.0, 0, [(name, "update", _choice(name, points)) for name, points in found.items()]),
            _menu("buttons", 1.0, 0 if scale == "log" else 1, [
                (kind, "relayout", [{"yaxis.type": kind, "yaxis.autorange": True}]) for kind in ("log", "linear")
            ]),
        ],
        "hovermode": "closest", "height": 520, "margin": {"t": 50, "r": 10, "l": 60, "b": 40},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        "paper_bgcolor": "rgba(0, 0, 0, 0)", "plot_bgcolor": "rgba(0, 0, 0, 0)",
    }  # fmt: skip


def _choice(name: str, points: list[Points]) -> list[dict[str, Any]]:
    """What a choice changes: the points of every curve, and the label of the ordinate."""
    axes = {"yaxis.title.text": name, "yaxis.autorange": True, "xaxis.autorange": True}
    return [{"x": [x for x, _ in points], "y": [y for _, y in points]}, axes]


def _menu(kind: str, x: float, active: int, choices: list[tuple[str, str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """A menu, or a row of buttons, above the plot at its left (0) or right (1) end."""
    return {
        "type": kind, "direction": "right" if kind == "buttons" else "down", "x": x,
        "xanchor": "left" if x == 0 else "right", "y": 1.02, "yanchor": "bottom", "active": active,
        "bgcolor": PAPER, "font": {"color": INK, "size": 12}, "showactive": True,
        "buttons": [{"label": label, "method": method, "args": args} for label, method, args in choices],
    }  # fmt: skip


def _drawable(updates: Sequence[int], values: Sequence[float | None]) -> Points:
    """Points with four digits; gaps, which JSON has no number for, where a value is not finite."""
    ends = np.finfo(float).max  # what a database makes of infinity
    return updates, [float(f"{y:.4g}") if y is not None and abs(y) < ends else None for y in values]


@lru_cache(1)
def packed_script() -> str:
    """Plotly's script, compressed and in letters: it has texts in it that a page must not hold as they are."""
    from plotly.offline import get_plotlyjs  # late: pages without curves need none

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 4, mtime=0)).decode()
