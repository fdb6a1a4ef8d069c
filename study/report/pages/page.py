"""One self-contained page: sections of text, tables and pictures. Knows no MLflow and no statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from study.figures.style import INK, PAPER, Picture, inline

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Head:
    """The head of a column, and what it means."""

    text: str
    help: str = ""


@dataclass(frozen=True)
class Cell:
    """A text; with `run` it opens that run."""

    text: str
    run: str = ""


@dataclass(frozen=True)
class Row:
    """Cells of a table; `quiet` ones are not arms."""

    cells: Sequence[Cell]
    quiet: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under heads."""

    heads: Sequence[Head]
    rows: Sequence[Row]
    caption: str = ""


@dataclass(frozen=True)
class Block:
    """A preformatted text to fold away."""

    title: str
    text: str
    open: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page, in the order it is shown."""

    title: str
    texts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    blocks: Sequence[Block] = ()
    anchor: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor", "".join(c if c.isalnum() else "-" for c in self.title.lower()))


@dataclass(frozen=True)
class Page:
    """All of it.

    Attributes:
        lead: the first paragraph.
        notes: what a reader must not overlook, such as missing runs.
        runs: of every run that a mark may belong to, its name and the id of its experiment.
        ui: where the MLflow UI answers.
    """

    title: str
    lead: str
    notes: Sequence[str]
    sections: Sequence[Section]
    runs: Mapping[str, tuple[str, str]]
    ui: str

    def write(self, folder: Path, name: str) -> Path:
        """The page as `<folder>/<name>.html`, its pictures and their data as files under `<folder>/figures`."""
        figures = folder / "figures"
        figures.mkdir(parents=True, exist_ok=True)
        for picture in (picture for section in self.sections for picture in section.pictures):
            svg = picture.svg.replace(INK, "#000000").replace(PAPER, "#ffffff")
            svg = svg.replace("<svg ", '<svg style="background: #ffffff" ', 1)  # legible wherever the file is shown
            (figures / f"{picture.name}.svg").write_text(svg)
            picture.data.to_csv(figures / f"{picture.name}.csv", index=False, float_format="%.6g")
        path = folder / f"{name}.html"
        path.write_text(self._html())
        return path

    def _html(self) -> str:
        shown = [
            replace(s, pictures=[replace(p, svg=inline(p.svg, p.title)) for p in s.pictures]) for s in self.sections
        ]
        return _template().render(
            title=self.title,
            lead=self.lead,
            notes=self.notes,
            sections=shown,
            runs=self.runs,
            ui=self.ui,
            style=(HERE / "page.css").read_text(),
            script=(HERE / "page.js").read_text(),
        )


@lru_cache
def _template() -> Template:
    return Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined).get_template(
        "page.html.j2"
    )
