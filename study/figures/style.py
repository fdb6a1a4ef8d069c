"""How a picture becomes part of a page: matplotlib draws it once as SVG, as a file and within the page.

Within the page its ink takes the page's colour (dark or light), and every mark of a run carries the run's id, so that
the page can name it and open it.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import StringIO
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, PAPER = "#1f2328", "#fefefe"
"""Placeholders for the page's own colours of text and ground."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of Okabe & Ito (2008), told apart by the colour-blind, on dark as on light."""
BEFORE, AFTER = COLOURS[0], COLOURS[1]
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
WIDTH, ROW = 9.0, 2.5
"""Inches: of every picture, and the height of one row of panels."""
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "report", "font.size": 9, "axes.titlesize": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.15,
    "axes.titlelocation": "left", "legend.frameon": False, "path.simplify": False,
}  # fmt: skip


def styled() -> AbstractContextManager[None]:
    """The look of all pictures, for the block."""
    return mpl.rc_context(STYLE)


@dataclass(frozen=True)
class Picture:
    """A figure with what a reader must know of it.

    Attributes:
        name: of its files.
        title: a few words.
        caption: what is plotted, over how many runs, how intervals were made.
        svg: drawn.
        data: the numbers in it.
    """

    name: str
    title: str
    caption: str
    svg: str
    data: pd.DataFrame


def panels(count: int, columns: int = 3, height: float = ROW, sharey: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, row by row, with one ordinate if `sharey`."""
    columns = 2 if count == 4 else min(columns, count)
    rows = -(-count // columns)
    with styled():
        figure = Figure(figsize=(WIDTH, height * rows + 0.6), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel().tolist()
    for unused in grid[count:]:
        unused.remove()
    return figure, grid[:count]


def render(figure: Figure) -> str:
    """The figure as SVG."""
    text = StringIO()
    with styled():
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def inline(svg: str, title: str) -> str:
    """SVG as part of a page: no header, no ids but those referred to, the page's ink, marks that know their run."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'(?<= d=")[^"]*', _shortened, body)
    body = re.sub(r'id="run:(\w+):\d+"', r'class="run" data-run="\1"', body)
    body = re.sub(
        r' id="(?:figure|axes|patch|line2d|text|legend|matplotlib|xtick|ytick|PathCollection|FillBetween)[\w.]*"',
        "",
        body,
    )
    named = rf'style="width:\1" role="img" aria-label="{title}"'
    body = re.sub(r'width="([\d.]+pt)" height="[\d.]+pt"', named, body, count=1)
    for place, name in ((COLOURS[0], "blue"), (COLOURS[5], "sky")):  # lighter on a dark page
        body = body.replace(place, f"var(--{name})")
    return body.replace(INK, "currentColor").replace(PAPER, "var(--paper)")


def _shortened(path: re.Match[str]) -> str:
    """A path to a twentieth of a point, in fewer characters: a page holds some hundred thousand of its numbers."""
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), " ".join(path[0].split()))


class Marks:
    """Ties drawn artists to runs."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, run: str, artists: Sequence[Artist]) -> None:
        """These artists are of this run."""
        for artist in artists:
            self._count += 1
            artist.set_gid(f"run:{run}:{self._count}")


def colour(index: int) -> str:
    """The colour of the `index`-th arm."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Its mark: no two of the first 12 share both."""
    return MARKERS[index % len(MARKERS)]


def line_style(index: int) -> dict[str, Any]:
    """Colour and dash of the `index`-th arm: no two of the first 12 share both."""
    return {"color": colour(index), "ls": DASHES[(index // len(COLOURS) + index) % len(DASHES)]}


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, under them, in as many columns as its longest line leaves room for."""
    handles, labels = axes.get_legend_handles_labels()
    first = dict(reversed(list(zip(labels, handles, strict=True))))
    ordered = {label: first[label] for label in dict.fromkeys(labels)}
    columns = max(1, int(13 * figure.get_figwidth() / (8 + max(map(len, ordered), default=0))))
    with styled():
        figure.legend(
            ordered.values(), ordered.keys(), loc="outside lower left", ncols=columns, labelcolor=INK, handlelength=3
        )


def entitle(axes: Axes, title: str, columns: int = 3) -> None:
    """A title over one of `columns` panels side by side, in as many lines as it needs."""
    axes.set_title(fill(title, 120 // columns))


def decades(axes: Axes, low: float, high: float) -> None:
    """A logarithmic ordinate that holds at least one labelled decade."""
    axes.set_yscale("log")
    axes.minorticks_off()
    if np.isfinite([low, high]).all() and 0 < low <= high:
        axes.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high) + 1e-9))
