"""Maps over two swept numbers: coloured cells, what stands in them, and borders across them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from contourpy import contour_generator
from jaxtyping import Bool, Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.colors import ListedColormap, LogNorm, Normalize, to_rgba

from study.figures.limits import spans_decades
from study.figures.style import named_places, tag_run

LETTERED = 7
"""Most cells beside each other that have a text each."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue."""
UNKNOWN = "lightgrey"
"""Colour of a cell without a value."""


@dataclass(frozen=True)
class Swept:
    """The values of a key along an axis, where they stand and where cells end.

    Attributes:
        label: of the axis.
        values: in increasing order.
    """

    label: str
    values: Float[np.ndarray, " values"]

    @cached_property
    def log(self) -> bool:
        """Whether the values are spaced more evenly by their ratios than by their differences."""
        if self.values[0] <= 0:
            return False
        steps = np.diff(self.values), np.diff(np.log(self.values))
        plain, ratios = (step.std() / step.mean() for step in steps)
        return bool(ratios < plain)

    def place(self, values: Float[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        """Values as positions along the axis."""
        return np.log10(values) if self.log else values

    @property
    def edges(self) -> Float[np.ndarray, " edges"]:
        """Where cells end: midway between values."""
        places = self.place(self.values)
        middle = (places[1:] + places[:-1]) / 2
        return np.concatenate([[2 * places[0] - middle[0]], middle, [2 * places[-1] - middle[-1]]])


@dataclass(frozen=True)
class MapCell:
    """What stands in a cell, and the run that it leads to."""

    text: str
    run: str


def draw_map(
    axes: Axes,
    x: Swept,
    y: Swept,
    values: Float[np.ndarray, "ys xs"],
    made: Bool[np.ndarray, "ys xs"],
    colouring: ScalarMappable,
) -> QuadMesh:
    """Colour every cell by its value; grey where that is NaN, empty where there is no cell.

    Args:
        axes: to draw into.
        x: along the abscissa.
        y: along the ordinate.
        values: of the cells.
        made: whether there is such a cell.
        colouring: colour map and its range.
    """
    whole: Any = {"edgecolors": "face", "linewidth": 0.2}
    axes.pcolormesh(x.edges, y.edges, np.ma.masked_where(~made, made), cmap=ListedColormap([UNKNOWN]), **whole)
    shown = np.ma.masked_invalid(values)
    whole |= {"cmap": colouring.get_cmap(), "norm": colouring.norm}
    mesh = axes.pcolormesh(x.edges, y.edges, shown, **whole)
    for axis, swept in ((axes.xaxis, x), (axes.yaxis, y)):
        named = named_places(len(swept.values))
        axis.set_ticks(swept.place(swept.values[named]), [f"{swept.values[place]:g}" for place in named])
    axes.set(xlabel=x.label, ylabel=y.label)
    axes.grid(visible=False)
    return mesh


def write_cells(axes: Axes, x: Swept, y: Swept, cells: Mapping[tuple[int, int], MapCell], mesh: QuadMesh) -> None:
    """Write into every cell (row, column) its text, black or white; nothing where cells are too many to be read."""
    if max(len(x.values), len(y.values)) > LETTERED:
        return
    grey = np.array(to_rgba(UNKNOWN))
    shades = mesh.to_rgba(np.ma.asarray(mesh.get_array())).reshape(len(y.values), len(x.values), 4)
    for (row, column), cell in cells.items():
        shade = tuple(shades[row, column] if shades[row, column, 3] else grey)
        ink = "#000000" if np.dot(shade[:3], LUMINANCE) > 0.5 else "#ffffff"
        at = x.place(x.values)[column], y.place(y.values)[row]
        ground = {"facecolor": shade, "lw": 0, "pad": 0.8}  # a border may run through
        text = axes.text(*at, cell.text, ha="center", va="center", fontsize=7, color=ink, bbox=ground, zorder=3)
        tag_run(cell.run, [text])


def draw_border(
    axes: Axes, x: Swept, y: Swept, values: Float[np.ndarray, "ys xs"], level: float, label: str, dashes: str
) -> bool:  # fmt: skip
    """Draw where values cross a level, interpolated between cells; return whether they do."""
    across, up = (np.concatenate([[s.edges[0]], s.place(s.values), [s.edges[-1]]]) for s in (x, y))
    lines: Any = contour_generator(across, up, np.ma.masked_invalid(np.pad(values, 1, "edge"))).lines(level)
    for number, line in enumerate(lines):
        _draw_line(axes.plot, (line[:, 0], line[:, 1]), label if number == 0 else "", dashes)
    return bool(len(lines))


def draw_value(axes: Axes, swept: Swept, value: int | float, label: str, dashes: str) -> bool:
    """Draw a line at a value of the key along one of the axes, if it lies within them; return whether it does."""
    draw = axes.axvline if swept.label == axes.get_xlabel() else axes.axhline
    place = float(swept.place(np.array([float(value)]))[0])
    if within := bool(swept.edges[0] <= place <= swept.edges[-1]):
        _draw_line(draw, (place,), label, dashes)
    return within


def _draw_line(draw: Callable[..., object], where: Sequence[object], label: str, dashes: str) -> None:
    """A black line that is seen on every colour."""
    halo = [patheffects.withStroke(linewidth=3, foreground="#ffffff")]
    draw(*where, color="#000000", lw=1.4, ls=dashes, label=label or None, path_effects=halo)


def log_around_one(shares: Float[np.ndarray, "..."], fewest: float, most: float) -> ScalarMappable:
    """Colours for shares: white at 1, blue below and red above it, alike for a share and its inverse.

    Args:
        shares: to be coloured; those beyond the range get its last colour.
        fewest: decades to either side, at least.
        most: and at most.
    """
    known = np.abs(np.log10(shares[np.isfinite(shares) & (shares > 0)]))
    decades = float(np.clip(np.ceil(known.max(initial=0.0)), fewest, most))
    return ScalarMappable(LogNorm(10**-decades, 10**decades), "RdBu_r")


def by_size(values: Float[np.ndarray, "..."], colour_map: str) -> ScalarMappable:
    """Colours for values: by their logarithm where they span a decade."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return ScalarMappable((LogNorm if spans_decades(known) else Normalize)(low, high), colour_map)
