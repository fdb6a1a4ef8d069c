"""A figure as a part of a page: drawn once as SVG, for a file and for the page itself.

Within the page its text takes the page's colour, dark or light, and every mark of a run carries the id of that run, so
that the page can name it and open it.
"""

import itertools
import re
from dataclasses import dataclass
from io import StringIO

import pandas as pd
from matplotlib.figure import Figure

from study.figures.style import COLOURS, INK

RECOLOURED = {COLOURS[0]: "blue", COLOURS[5]: "sky"}
"""Colours that are too dark on a dark page, and the variables of `page.css` that replace them."""
UNUSED_ID = r' id="(?:figure|axes|patch|line2d|text|legend|matplotlib|xtick|ytick|PathCollection|FillBetween)[\w.]*"'


@dataclass(frozen=True)
class Picture:
    """A figure with what its reader must know.

    Attributes:
        name: of its files.
        title: a few words.
        caption: what is plotted, over how many runs, and how intervals were made.
        svg: see `to_svg`.
        data: the numbers in it.
    """

    name: str
    title: str
    caption: str
    svg: str
    data: pd.DataFrame


def count_of(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def to_svg(figure: Figure) -> str:
    """The figure as SVG; marks of runs have the ids `run:<run id>:<count>`."""
    text, count = StringIO(), itertools.count(1)
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return re.sub(r'(?<=id=")run:\w+', lambda found: f"{found[0]}:{next(count)}", text.getvalue())


def for_file(svg: str) -> str:
    """SVG to be read by itself: black on white, wherever the file is shown."""
    return svg.replace(INK, "#000000").replace("<svg ", '<svg style="background: #ffffff" ', 1)


def for_page(svg: str, title: str) -> str:
    """SVG as an element of a page: without header and unused ids, in the page's colours, marks tied to their runs."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'(?<= d=")[^"]*', _rounded, body)
    body = re.sub(r'id="run:(\w+):\d+"', r'class="run" data-run="\1"', body)
    body = re.sub(UNUSED_ID, "", body)
    described = rf'style="width:\1" role="img" aria-label="{title}"'
    body = re.sub(r'width="([\d.]+pt)" height="[\d.]+pt"', described, body, count=1)
    return on_page(body).replace(INK, "currentColor")


def on_page(text: str) -> str:
    """A text with the colours that a page shows differently on dark and on light ground."""
    for colour, variable in RECOLOURED.items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def _rounded(path: re.Match[str]) -> str:
    """A path with one decimal a coordinate, a twentieth of a point: a page holds some hundred thousand of them."""
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), " ".join(path[0].split()))
