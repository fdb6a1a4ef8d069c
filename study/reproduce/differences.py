"""Differences between the original circumstances of a run and the present ones, shown before it is rerun."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.table import Table

from study import terminal
from study.analysis.diagnosis.judge import RULES
from study.errors import ConfigError
from study.reproduce.restore import Restored, parse
from study.tasks import Task
from study.tracking import provenance
from study.tracking.changes import FILE, changes
from study.tracking.reader import Logged

UNKNOWN = "not recorded"


class Difference(NamedTuple):
    """One circumstance of a run: its value when the run was made, and its value here."""

    what: str
    then: str
    here: str

    @property
    def differs(self) -> bool:
        """Whether both values are known and differ."""
        return UNKNOWN not in self and self.then != self.here

    @property
    def record(self) -> dict[str, str | bool]:
        """All of it as a row of a table."""
        return {**self._asdict(), "differs": self.differs}


def differences(logged: Logged, restored: Restored, task: Task) -> list[Difference]:
    """List commit, uncommitted changes, environment, packages, data and configuration, then and here.

    Call it after `set_up_process`: threads and torch's flags are part of the environment.
    """
    environment = _environment(logged)
    return [
        Difference("commit", logged.tags.get("git_commit", UNKNOWN), provenance.commit()),
        _changes(_read(logged, "changes.patch"), str(changes())),
        *(Difference(key, str(environment.get(key, UNKNOWN)), str(v)) for key, v in provenance.environment().items()),
        *_packages((_read(logged, "packages.txt") or b"").decode().splitlines()),
        Difference("data", logged.tags.get("data_digest", UNKNOWN), provenance.data(task)),
        Difference("rules of the diagnosis", logged.tags.get("diagnosis_rules", "1"), RULES),
        *_resumed(logged),
        *(Difference(key, "no such key", f"{value} (the default)") for key, value in restored.filled.items()),
    ]


def table(found: list[Difference], everything: bool = True) -> Table:
    """Build a table for the terminal, with the differences in bold.

    Args:
        found: all circumstances.
        everything: whether the others are listed too, or only counted.
    """
    listed = [one.record for one in found if one.differs or everything]
    if not everything:
        alike = sum(not difference.differs for difference in found)
        listed.append({"what": f"{alike} others", "then": "", "here": "not known to differ", "differs": False})
    style = lambda record: "bold yellow" if record["differs"] else "dim"  # noqa: E731
    columns = {"": "{what}", "then": "{then}", "here": "{here}"}
    return terminal.table(listed, columns, style, title="When the run was made, and here", title_justify="left")


def _read(logged: Logged, name: str) -> bytes | None:
    """Read a file of the run's definition; None if the run is older than this kind of file."""
    try:
        return logged.read(f"definition/{name}")
    except ConfigError:
        return None


def _environment(logged: Logged) -> dict[str, Any]:
    return parse(_read(logged, "environment.yaml") or b"{}", "environment.yaml")


def _changes(then: bytes | None, here: str) -> Difference:
    if then is None:
        return Difference("uncommitted changes", UNKNOWN, _outline(here))
    kept = then.decode(errors="surrogateescape")
    other = " (other ones)" if kept != here and _outline(kept) == _outline(here) else ""
    return Difference("uncommitted changes", _outline(kept), _outline(here) + other)


def _outline(patch: str) -> str:
    """Return the files that a patch changes, and its length."""
    files, lacking = FILE.findall(patch), re.findall(r"^# not kept, .*: (.*)$", patch, re.M)
    lines = [line for line in patch.splitlines() if not line.startswith("# ")]
    outline = f"{', '.join(files)}: {len(lines)} lines of patch" if lines else "none"
    return f"{outline}; not kept: {', '.join(lacking)}" if lacking else outline


def _resumed(logged: Logged) -> Iterator[Difference]:
    """Yield the environment entries that changed between the start of a run and its resume."""
    start, here = _environment(logged), provenance.environment()
    for folder in sorted({name.partition("/")[0] for name in logged.files() if name.startswith(provenance.RESUMED)}):
        environment = parse(logged.read(f"{folder}/environment.yaml"), f"{folder}/environment.yaml")
        for key, value in here.items():
            if (then := environment.get(key)) != start.get(key):
                yield Difference(f"{key}, {folder.replace('_', ' ')}", str(then), str(value))


def _packages(then: list[str]) -> Iterator[Difference]:
    """Yield the packages whose versions differ, or one line that says how many are the same."""
    old, new = (dict(line.partition("==")[::2] for line in lines) for lines in (then, provenance.packages()))
    if not old:
        yield Difference("packages", UNKNOWN, f"{len(new)} installed")
        return
    if old == new:
        yield Difference("packages", f"{len(old)} installed", f"{len(new)} installed")
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Difference(name, old.get(name, "not installed"), new.get(name, "not installed"))
