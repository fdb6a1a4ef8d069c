"""A figure as a part of a page: drawn once, saved as SVG for the page and for a file, and in the formats of papers.

Within the page its text takes the page's colour, dark or light, and every mark of a run carries the id of that run, so
that the page can name it and open it.
"""

import html
import itertools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from study.disk import whole
from study.figures.style import COLOURS, INK
from study.report import FORMATS
from study.report.data.reading import tried
from study.report.data.table_files import stem, write_csv

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
        figure: drawn with `study.figures.style.panels`.
        data: the numbers in it.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    data: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", stem(self.name))

    @cached_property
    def svg(self) -> str:
        """See `to_svg`."""
        return to_svg(self.figure)

    def save(self, folder: Path, printed: Collection[str] = ()) -> list[str]:
        """Write the figure as SVG, its data as CSV, and the figure in those formats of `FORMATS` that are asked for.

        Others that an earlier report wrote are removed: they would show other data than the rest.

        Returns:
            The names of the files.
        """
        with whole(folder / f"{self.name}.svg") as part:
            part.write_text(for_file(self.svg))
        write_csv(self.data, folder / f"{self.name}.csv")
        self.figure.set_layout_engine("none")  # it was laid out for the SVG
        for form, keywords in FORMATS.items():
            path = folder / f"{self.name}.{form}"
            path.unlink(missing_ok=True)
            if form in printed:
                with whole(path) as part:
                    self.figure.savefig(part, format=form, **keywords)
        return [f"{self.name}.{form}" for form in ("svg", *FORMATS, "csv") if form in ("svg", "csv", *printed)]


def drawn(make: Callable[..., Picture | None], *given: Any) -> list[Picture]:
    """The picture that a function draws; none where it has nothing to draw, or what was recorded lets it fail."""

    def draw() -> Picture | None:
        picture = make(*given)
        return picture if picture is None or picture.svg else None  # what fails in drawing fails here

    found = tried(f"The picture of {make.__name__.replace('_', ' ')}", draw)
    return [] if found is None else [found]


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
    described = f'role="img" aria-label="{html.escape(title)}"'
    body = re.sub(
        r'width="([\d.]+pt)" height="[\d.]+pt"', lambda size: f'style="width:{size[1]}" {described}', body, count=1
    )
    return on_page(body).replace(INK, "currentColor")


def on_page(text: str) -> str:
    """A text with the colours that a page shows differently on dark and on light ground."""
    for colour, variable in RECOLOURED.items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def _rounded(path: re.Match[str]) -> str:
    """A path with one decimal a coordinate, a twentieth of a point: a page holds some hundred thousand of them."""
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), " ".join(path[0].split()))
