"""The look of every figure: palette, panels, curves, guides and legends.

Drawing functions of this package take axes and plain arrays; they know neither runs nor files. A figure is drawn
within `panels`, which applies the style.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, LogFormatterMathtext, MaxNLocator
from numpy.typing import ArrayLike

INK = "#1f2328"
"""Colour of text and axes. A page of the report replaces it by its own colour of text, dark or light."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Palette of Okabe & Ito (2008), distinguishable by the colour-blind, on dark and on light ground."""
BEFORE, AFTER = COLOURS[0], COLOURS[1]
"""Colours of gradients before clipping and as applied."""
SEQUENTIAL = "viridis"
"""Colour map of ordered quantities: early to late updates, small to large values."""
SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
GUIDE: Mapping[str, Any] = {"lw": 1, "ls": (0, (1, 1))}
"""Dotted line at a value that is given, not measured: a horizon, a threshold, a baseline."""
OPPONENT: Mapping[str, Any] = {"lw": 1, "ls": (0, (8, 3))}
"""Dashed line at what an opponent reaches."""

WIDTH, ROW = 9.0, 2.5
"""Inches: width of every figure, and height of one row of panels."""
FEW = 20
"""Curves of at most this many points have a dot at each: a line through a single point cannot be seen."""
NAMED = 8
"""Most updates named in one legend or on one axis."""

STYLE: Any = {
    "svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "report", "font.size": 9, "axes.titlesize": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.15,
    "axes.titlelocation": "left", "legend.frameon": False, "path.simplify": False,
    "text.parse_math": False,  # names of runs may have dollar signs
}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes:
        x: abscissas.
        y: ordinates, as many; a gap where they are NaN.
        label: in the legend; empty for a line the legend leaves out.
        style: keywords of `Axes.plot`.
        run: id of the run that the line belongs to; empty where it belongs to none.
    """

    x: ArrayLike
    y: ArrayLike
    label: str = ""
    style: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""


class _StyledFigure(Figure):
    """A figure that is saved in the style it was drawn in: matplotlib creates ticks only when it saves."""

    def savefig(self, *arguments: Any, **keywords: Any) -> None:
        """See `Figure`."""
        with _style():
            super().savefig(*arguments, **keywords)


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(STYLE)


@contextmanager
def panels(
    count: int, columns: int = 3, height: float = ROW, sharey: bool = True
) -> Iterator[tuple[Figure, list[Axes]]]:  # fmt: skip
    """A figure of `count` panels, filled row by row, to be drawn within the block.

    Args:
        count: how many panels.
        columns: how many beside each other, at most.
        height: of one row, inches.
        sharey: all panels have the same ordinate, which is labelled on the left only.
    """
    columns = 2 if (count, columns) == (4, 3) else min(columns, count)
    rows = -(-count // columns)
    with _style():
        figure = _StyledFigure(figsize=(WIDTH, height * rows + 0.6), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel().tolist()
        for unused in grid[count:]:
            unused.remove()
        yield figure, grid[:count]
        for axes in figure.axes:  # the scales of colours among them
            _write_powers(axes.xaxis)
            _write_powers(axes.yaxis)
        if sharey:
            for place in set(range(count)) - set(range(0, count, columns)):
                grid[place].set_ylabel("")


def colour(index: int) -> str:
    """The colour of the `index`-th arm."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """The marker of the `index`-th arm; no two of the first 24 share colour and marker."""
    return MARKERS[_turn(index) % len(MARKERS)]


def dashes(index: int) -> str:
    """The dashes of the `index`-th arm; no two of the first 24 share colour and dashes."""
    return DASHES[_turn(index) % len(DASHES)]


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the `index`-th arm."""
    return {"color": colour(index), "ls": dashes(index)}


def _turn(index: int) -> int:
    """Goes on by one with every arm, and once more where the colours start again."""
    return index // len(COLOURS) + index


def named_places(count: int) -> list[int]:
    """Indices of at most `NAMED` of `count` updates: evenly spaced, the first and the last among them."""
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, NAMED)).round())]


def curves_by_update(profiles: Sequence[tuple[int, ArrayLike, ArrayLike]]) -> list[Curve]:
    """A curve for each (update, x, y), early updates light, late ones dark."""
    shades = mpl.colormaps[f"{SEQUENTIAL}_r"](np.linspace(0.75, 0.15, len(profiles))[::-1])
    named = named_places(len(profiles))
    return [
        Curve(x, y, f"update {update}" if place in named else "", {"color": tuple(shade)})
        for place, ((update, x, y), shade) in enumerate(zip(profiles, shades, strict=True))
    ]


def draw_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    """Plot curves; a sentence where they have no finite point."""
    for curve in curves:
        dots = {"marker": ".", "ms": 4} if np.size(curve.x) <= FEW else {}
        style = {"lw": 1.3, **dots, **curve.style}
        tag_run(curve.run, axes.plot(curve.x, curve.y, label=curve.label or None, **style))
    say_if_empty(axes, [curve.y for curve in curves])


def say_if_empty(axes: Axes, drawn: Sequence[ArrayLike]) -> None:
    """Write into the plot that there is nothing to see, where no value is finite."""
    if not any(np.isfinite(np.asarray(values, float)).any() for values in drawn):
        axes.text(0.5, 0.5, "nothing finite to draw", transform=axes.transAxes, ha="center", color=INK)


def draw_guide(
    axes: Axes, value: int | float, label: str = "", vertical: bool = False, colour: str = INK,
    style: Mapping[str, Any] = GUIDE,
) -> None:  # fmt: skip
    """A line across the plot, dotted by default, at a value that is given, not measured."""
    line = axes.axvline if vertical else axes.axhline
    line(value, color=colour, label=label or None, **style)


def tag_run(run: str, artists: Sequence[Artist]) -> None:
    """Mark artists as those of a run, so that a page can name and open it."""
    for artist in artists:
        artist.set_gid(f"run:{run}" if run else None)


def legend_below(figure: Figure) -> None:
    """One legend of all panels, under them, in as many columns as its longest label leaves room for."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    longest = max((len(line) for label in handles for line in label.splitlines()), default=0)
    columns = max(1, int(13 * figure.get_figwidth() / (8 + longest)))
    place: Any = {"loc": "outside lower left", "ncols": columns}
    figure.legend(list(handles.values()), list(handles), labelcolor=INK, handlelength=3, **place)


def set_title(axes: Axes, title: str, columns: int = 3) -> None:
    """A title over one of `columns` panels side by side, on as many lines as it needs."""
    axes.set_title(fill(title, 120 // columns))


def integer_ticks(axis: Axis) -> None:
    """Ticks at integers, as many as there is room for."""
    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def log_ordinate(axes: Axes, low: float, high: float) -> None:
    """A logarithmic ordinate from the decade below `low` to the one above `high`; of its own where these are NaN."""
    axes.set_yscale("log")
    axes.minorticks_off()
    if np.isfinite([low, high]).all() and 0 < low <= high:
        axes.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high) + 1e-9))


class _PlainPowers(Formatter):
    """Ticks of a logarithmic axis as text with superscripts; matplotlib writes formulas, which no text here is read as.

    Args:
        formulas: what decides which ticks have a label, and writes it.
    """

    def __init__(self, formulas: LogFormatterMathtext):
        self._formulas = formulas

    def __call__(self, value: float, place: int | None = None) -> str:
        """The label of a tick."""
        text = re.sub(r"^\$\\mathdefault{(.*)}\$$", r"\1", self._formulas(value, place)).replace(r"\times", "\u00b7")
        return re.sub(r"\^{(-?\d+)}", lambda power: power[1].translate(SUPERSCRIPTS), text)

    def set_locs(self, locs: Any) -> None:
        """All ticks, by which it is decided."""
        self._formulas.set_locs(locs)


def _write_powers(axis: Axis) -> None:
    """Let the ticks of an axis be plain text."""
    if isinstance(major := axis.get_major_formatter(), LogFormatterMathtext):
        axis.set_major_formatter(_PlainPowers(major))
    if isinstance(minor := axis.get_minor_formatter(), LogFormatterMathtext):
        axis.set_minor_formatter(_PlainPowers(minor))
