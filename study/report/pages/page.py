"""A self-contained HTML page of sections with text, tables and figures.

Everything is in one file, so that the page needs no network. Knows nothing of MLflow or statistics.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from study.disk import whole, writing
from study.errors import ConfigError
from study.figures.style import colour, dashes
from study.report.data.table_files import stem, write_csv, write_latex
from study.report.figures.picture import Picture, for_page, on_page
from study.report.pages.explorer import Explorer, packed_script

HERE = Path(__file__).parent
STROKES = {"-": "none", "--": "6 3", ":": "2 2", "-.": "7 2 2 2"}
"""Dashes of matplotlib in the words of SVG."""
NBSP = "\u00a0"
"""Keeps the words of a cell on one line."""
SHOWN = 8
"""Most statements about one thing that are seen at once."""


@dataclass(frozen=True)
class Head:
    """The head of a column, and a help text that appears when the pointer rests on it."""

    text: str
    help: str = ""


@dataclass(frozen=True)
class Swatch:
    """A short piece of the line that an arm has in every picture, by its place among the arms of its task."""

    place: int

    @property
    def colour(self) -> str:
        """Its colour, as the page has it."""
        return on_page(colour(self.place))

    @property
    def dashes(self) -> str:
        """Its dashes, as SVG says them."""
        return STROKES[dashes(self.place)]


@dataclass(frozen=True)
class TableCell:
    """A text; where `run` is an id, it is a link to that run; where it is an arm, it may have a swatch before it."""

    text: str
    run: str = ""
    swatch: Swatch | None = None


@dataclass(frozen=True)
class Row:
    """Cells of a table; `quiet` rows are set in grey italics."""

    cells: Sequence[TableCell]
    quiet: bool = False


@dataclass(frozen=True)
class Table:
    """Heads, rows and a caption below."""

    heads: Sequence[Head]
    rows: Sequence[Row]
    caption: str = ""

    def write(self, folder: Path, name: str) -> None:
        """Write the texts of its cells as `<name>.csv` and as `<name>.tex`, a `tabular`."""
        texts = [[cell.text.replace(NBSP, " ") for cell in row.cells] for row in self.rows]
        shown = pd.DataFrame(texts, columns=[head.text for head in self.heads])
        write_latex(shown, folder / f"{name}.tex")
        write_csv(shown.replace("-", ""), folder / f"{name}.csv")


@dataclass(frozen=True)
class Listing:
    """A preformatted text that can be folded away."""

    title: str
    text: str
    open: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page: its parts are shown in the order of the fields."""

    title: str
    texts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    explorer: Explorer | None = None
    listings: Sequence[Listing] = ()
    anchor: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor", stem("".join(c if c.isalnum() else "-" for c in self.title.lower())))

    @property
    def named_tables(self) -> Iterator[tuple[str, Table]]:
        """Its tables and the names of their files."""
        for number, table in enumerate(self.tables, 1):
            yield self.anchor if number == 1 else f"{self.anchor}-{number}", table


@dataclass(frozen=True)
class Statement:
    """A sentence about something that can be quoted."""

    subject: str
    text: str
    swatch: Swatch | None = None


@dataclass(frozen=True)
class Conclusions:
    """What a reader shall know first about a part of a page.

    Attributes:
        title: of what they are about.
        anchor: of the section that they lead to.
        statements: a sentence each, the most important first.
    """

    title: str
    anchor: str
    statements: Sequence[Statement]

    @property
    def shown(self) -> Sequence[Statement]:
        """Those that are seen at once."""
        return self.statements[:SHOWN]

    @property
    def folded(self) -> Sequence[Statement]:
        """The others."""
        return self.statements[SHOWN:]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: also its heading.
        lead: the first paragraph.
        notes: highlighted paragraphs, such as what runs are missing.
        sections: in order.
        runs: name and MLflow experiment id, by run id, of every run that a mark may belong to.
        ui: address of the MLflow UI, which links open.
        histories: ids of the runs whose gradient histories the page rests on.
        lost: why a history cannot be read, by run id: such a page never replaces one that rests on it.
        table: address of the table of its runs in the MLflow UI; empty: none is linked.
        conclusions: stand above everything else.
    """

    title: str
    lead: str
    notes: Sequence[str]
    sections: Sequence[Section]
    runs: Mapping[str, tuple[str, str]]
    ui: str
    histories: Collection[str] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
    conclusions: Sequence[Conclusions] = ()

    def write(self, folder: Path, name: str, printed: Collection[str] = ()) -> Path:
        """Write `<folder>/<name>.html`, beside it every figure with its data, and every table as CSV and LaTeX.

        Args:
            folder: to write into; figures go into `figures`, tables into `tables`.
            name: of the page.
            printed: formats besides SVG that figures are written in, see `study.report.FORMATS`.

        Returns:
            The path of the page.

        Raises:
            ConfigError: there is a page that rests on a history which cannot be read any more; it is left as it is.
        """
        path = folder / f"{name}.html"
        self._refuse_to_replace(path)
        for kind in ("figures", "tables"):
            with writing(folder):
                (folder / kind).mkdir(parents=True, exist_ok=True)
        files = {p.name: p.save(folder / "figures", printed) for s in self.sections for p in s.pictures}
        for place, table in (named for section in self.sections for named in section.named_tables):
            table.write(folder / "tables", place)
        with whole(path) as part:
            part.write_text(self._html(files))
        return path

    def _refuse_to_replace(self, path: Path) -> None:
        if gone := [run for run in histories(path) if run in self.lost]:
            raise ConfigError(
                f"{path} rests on gradient histories that cannot be read now (runs: {len(gone)}), so it is left as it "
                f"is. The first: {self.lost[gone[0]]}. Bring the artifacts back, or delete these "
                "runs in MLflow, and their command makes them again; or write into another --folder"
            )

    def _html(self, files: Mapping[str, Sequence[str]]) -> str:
        return _template().render(
            title=self.title,
            lead=self.lead,
            notes=self.notes,
            sections=self.sections,
            for_page=for_page,
            files=files,
            conclusions=self.conclusions,
            runs=self.runs,
            ui=self.ui,
            table=self.table,
            histories=" ".join(self.histories),
            plotly=packed_script() if any(section.explorer for section in self.sections) else "",
            explorer_script=(HERE / "explorer.js").read_text(),
            style=(HERE / "page.css").read_text(),
            script=(HERE / "page.js").read_text(),
        )


def histories(page: Path) -> list[str]:
    """The runs on whose histories a written page rests; none where there is no page, or none of this kind."""
    found = re.search(r'<meta name="histories" content="([0-9a-f ]*)">', page.read_text()) if page.is_file() else None
    return found.group(1).split() if found else []


@lru_cache
def _template() -> Template:
    return Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined).get_template(
        "page.html.j2"
    )
