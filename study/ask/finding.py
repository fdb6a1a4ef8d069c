"""What was found when a run was asked: one page, kept beside the run and printed in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from study.disk import whole
from study.installation import door
from study.report.data.table_files import write_csv
from study.report.pages.page import Listing, Page, Section
from study.tracking import answers, uri
from study.tracking.answers import Question
from study.tracking.reader import Logged

OUTPUTS = Path("outputs/answers")


@dataclass(frozen=True)
class Finding:
    """The answer to a question, its evidence and its limits.

    Attributes:
        question: that was asked.
        about: the run that was asked; of an experiment all of its runs.
        sentence: the answer with the numbers that decided.
        limits: what it cannot know.
        sections: the evidence; the first one is read first.
        tables: the numbers, by name; kept as CSV beside the page.
        to_do: a command that is worth typing next, and what for; empty where there is none.
        tags: of the answer's MLflow run, to filter by.
        files: texts to keep beside the page, by file name.
        keepers: runs that keep the page; none: a run of its own does.
    """

    question: Question
    about: Sequence[Logged]
    sentence: str
    limits: str
    sections: Sequence[Section]
    tables: Mapping[str, pd.DataFrame]
    to_do: tuple[str, str] = ("", "")
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    keepers: Sequence[Logged] = ()

    def page(self) -> Page:
        """The page that shows it."""
        command, purpose = self.to_do
        following = [Section("What to type next", [f"{purpose}:"], listings=[Listing("Command", command, open=True)])]
        limits = Section("What this cannot know", [self.limits])
        first = self.about[0]
        title = f"{self.question}: {first.name}" if len(self.about) == 1 else f"{self.question}: {len(self.about)} runs"
        names = {run.run_id: (run.name, run.experiment) for run in self.about}
        sections = [*self.sections, *(following if command else []), limits]
        return Page(title, self.sentence, [], sections, names, uri.ui(first.uri))

    def keep(self, folder: Path | None = None) -> tuple[Path, str]:
        """Write the page, and log it to its keepers, or as a run of its own under the run that was asked.

        Args:
            folder: to write into; None: one below `outputs/answers`.

        Returns:
            The path of the page, and the MLflow run id of what keeps it.

        Raises:
            ConfigError: the store does not take it.
        """
        first, alone = self.about[0], len(self.about) == 1
        folder = folder or OUTPUTS / f"{self.question}-{first.run_id if alone else first.experiment}"
        path = self.page().write(folder, self.question)
        for name, table in self.tables.items():
            write_csv(table, folder / f"{name}.csv")
        for name, text in self.files.items():
            with whole(folder / name) as part:
                part.write_text(text)
        for run in self.keepers:
            run.keep(folder, answers.FOLDER)
        if self.keepers:
            return path, self.keepers[-1].run_id
        return path, answers.keep(first, self.question, self.sentence, folder, self.tags, nested=alone)

    def record(self, path: Path, run_id: str) -> dict[str, Any]:
        """All of it for a program.

        Args:
            path: of the page.
            run_id: of what keeps it.
        """
        tables = {name: table.to_dict("records") for name, table in self.tables.items()}
        found = {"question": self.question, "runs": [run.run_id for run in self.about], "sentence": self.sentence}
        kept = {"page": path, "kept_in": run_id, "to_do": self.to_do[0] or None}
        return {**found, "limits": self.limits, **tables, **kept}

    def closing(self, path: Path, run_id: str) -> str:
        """The last lines on a terminal: the answer, where it is, what to type next."""
        command, purpose = self.to_do
        lines = [self.sentence, f"Page: {path}; in MLflow: run {run_id} (type `{door('ui')}` to see it)."]
        return "\n".join([*lines, f"{purpose}: {command}"] if command else lines)
