"""What differs here from then: told before a run is made again, so that a different result surprises nobody."""

from collections.abc import Iterator
from typing import NamedTuple

from rich.table import Table

from study import provenance
from study.errors import ConfigError
from study.reproduce.restore import Restored, parse
from study.tasks import Task
from study.tracked import Logged

UNKNOWN = "not recorded"


class Difference(NamedTuple):
    """One circumstance of a run, as it was and as it is."""

    what: str
    then: str
    here: str

    @property
    def differs(self) -> bool:
        """Whether it is known to have been otherwise."""
        return UNKNOWN not in self and self.then != self.here


def differences(logged: Logged, restored: Restored, task: Task) -> list[Difference]:
    """Commit, uncommitted changes, environment, packages, data and configuration, then and here.

    The process must be set up as it is for training.
    """
    environment = parse(_read(logged, "environment.yaml") or b"{}")
    return [
        Difference("commit", logged.tags.get("git_commit", UNKNOWN), provenance.commit()),
        _changes(_read(logged, "changes.patch"), provenance.changes()),
        *(Difference(key, str(environment.get(key, UNKNOWN)), str(v)) for key, v in provenance.environment().items()),
        *_packages((_read(logged, "packages.txt") or b"").decode().splitlines()),
        Difference("data", logged.tags.get("data_digest", UNKNOWN), provenance.data(task)),
        *(Difference(key, "no such key", str(value)) for key, value in restored.filled.items()),
    ]


def table(found: list[Difference]) -> Table:
    """For the terminal; what differs stands out."""
    shown = Table("", "then", "here", title="This run was made, and is made again", title_justify="left")
    for column in shown.columns:
        column.overflow = "fold"
    for difference in found:
        shown.add_row(*difference, style="bold yellow" if difference.differs else "dim")
    return shown


def _read(logged: Logged, name: str) -> bytes | None:
    """A file of the run's definition; None in a run from before it was kept."""
    try:
        return logged.read(f"definition/{name}")
    except ConfigError:
        return None


def _changes(then: bytes | None, here: str) -> Difference:
    if then is None:
        return Difference("uncommitted changes", UNKNOWN, _lines(here))
    kept = then.decode(errors="surrogateescape")
    other = ", others" if kept != here and _lines(kept) == _lines(here) else ""
    return Difference("uncommitted changes", _lines(kept), _lines(here) + other)


def _lines(patch: str) -> str:
    return f"{len(patch.splitlines())} lines of patch" if patch else "none"


def _packages(then: list[str]) -> Iterator[Difference]:
    """The packages whose versions differ, or one line that says how many are the same."""
    old, new = (dict(line.partition("==")[::2] for line in lines) for lines in (then, provenance.packages()))
    if not old:
        yield Difference("packages", UNKNOWN, f"{len(new)} installed")
        return
    if old == new:
        yield Difference("packages", f"{len(old)} installed", f"{len(new)} installed")
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Difference(name, old.get(name, "not installed"), new.get(name, "not installed"))
