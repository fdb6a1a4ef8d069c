"""Code that was logged with a run: shown to be read first, and executed only where a person says so.

Whoever can write to a store can write a cell that does anything. So nothing but a rerun asked for with `--trust-code`
executes it, from a temporary folder, under names that are not the store's, and only if it is the file that the
configuration of the run names by its SHA-256.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import ConfigError
from study.schema.own import FOLDER, LARGEST, SHOWN, choice, digest
from study.terminal import clean

if TYPE_CHECKING:
    from study.tracking.reader import Logged

FLAG = "--trust-code"
Code = Callable[[Mapping[str, dict[str, Any]]], Mapping[str, str]]
"""From the groups of a logged configuration that need code of its own to the places of the code, by group."""


class Untrusted(ConfigError):
    """A run needs code that was logged with it, and nobody has said that it may be executed.

    Attributes:
        files: the text of every file, by name and digest.
    """

    def __init__(self, run: str, files: Mapping[str, str]):
        super().__init__(
            f"run {run} needs code that was logged with it ({', '.join(files)}); executed, it can do here whatever you "
            f"can: read it, then add {FLAG}"
        )
        self.files = files

    def show(self) -> str:
        """The files as they can be read in a terminal: what a terminal would interpret is replaced."""
        lines = [line for name, text in self.files.items() for line in (f"--- {name}", *text.splitlines(), "")]
        return clean("\n".join(lines))


def no_code(groups: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Refuse: a configuration alone has no code."""
    raise ConfigError(f"{' and '.join(groups)}: the code that this configuration names is kept with its run")


@contextmanager
def code_folder(trusted: bool) -> Iterator[Path | None]:
    """An empty folder for the code of runs, there as long as the block runs; None where it is not trusted."""
    if not trusted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="study-own-") as folder:
        yield Path(folder)


def logged_code(run: "Logged", folder: Path | None) -> Code:
    """What finds the code of a run among its artifacts.

    Args:
        run: the run.
        folder: where its files are put; None: they are not trusted.
    """

    def find(groups: Mapping[str, dict[str, Any]]) -> dict[str, str]:
        found = {group: _read(run, group, node.get("digest")) for group, node in groups.items()}
        if folder is None:
            names = {group: f"{group}.py, SHA-256 {digest(text)[:SHOWN]}..." for group, text in found.items()}
            raise Untrusted(run.run_id, {names[g]: text.decode(errors="replace") for g, text in found.items()})
        return {group: _put(folder / digest(text), group, text, groups[group]) for group, text in found.items()}

    return find


def _read(run: "Logged", group: str, expected: Any) -> bytes:
    """The bytes of a file that a run keeps.

    Raises:
        ConfigError: it has none, or not the one that its configuration names.
    """
    text = run.read(f"{FOLDER}/{group}.py")
    if len(text) > LARGEST:
        raise ConfigError(f"{FOLDER}/{group}.py of run {run.run_id} has {len(text):,} bytes: no run logs that many")
    if (found := digest(text)) != expected:
        raise ConfigError(
            f"{FOLDER}/{group}.py of run {run.run_id} is not the file that it was trained with: SHA-256 {found}, but "
            f"{group}.digest = {expected!r}"
        )
    return text


def _put(folder: Path, group: str, text: bytes, node: Mapping[str, Any]) -> str:
    """Write a file, and return its place with the class that is chosen in it."""
    folder.mkdir(exist_ok=True)
    (file := folder / f"{group}.py").write_bytes(text)
    chosen = choice(str(node.get("file")))
    return f"{file}:{chosen}" if chosen else str(file)
