"""What stands in a Python file of the user's own: where the file lies, which bytes it has, what its class is given.

No torch here, and nothing is executed: `study.own` does that, when a run is built. What a file holds decides a run's
numbers, so its SHA-256 is a key of the configuration, which a record keeps; the file itself is kept among the run's
artifacts.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, field_validator

from study.errors import ConfigError
from study.installation import typed
from study.schema.base import Decides, Strict

FOLDER = "definition/own"
"""Where the artifacts of a run keep its own files: each is called after its group, `model.py`."""
LARGEST = 1_000_000
"""Bytes of a file; what is larger is no cell."""
SHOWN = 12
"""Digits of a digest that tell files apart."""
CHOICE = r":([A-Za-z_]\w*)$"
"""What chooses one of several classes, at the end of a place."""
DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


def _plain(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("an option is a number, a text, true or false")
    return value


Options = dict[str, Annotated[Any, AfterValidator(_plain)]]
"""Arguments of a constructor, by name. Their names are known to the user's file alone."""


class OwnFile(Strict):
    """A class in a file of the user's own.

    Attributes:
        file: a path that ends in `.py`, or the dotted name of a module; `:Name` at its end chooses one of several
            classes.
        digest: SHA-256 of the file; null: that of the file as it is now. Another one is refused.
        options: arguments of the constructor of the class.
    """

    file: Annotated[str, Decides.DATA]
    digest: str | None
    options: Options

    @field_validator("file")
    @classmethod
    def _can_be_read(cls, place: str) -> str:
        read(place)
        return place

    @field_validator("digest")
    @classmethod
    def _is_that_of_the_file(cls, given: str | None, info: Any) -> str | None:
        if (place := info.data.get("file")) is None:  # refused already
            return given
        if given not in (None, found := digest(read(place))):
            raise ValueError(f"{locate(place)} has another content now: its SHA-256 is {found}; null takes it as it is")
        return found

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """Where a file lies does not matter: its name does, for tables, and what it holds."""
        place = values.get("file", "")
        return super().canonical(values) | {
            "file": place.rpartition("/")[2],
            "digest": values.get("digest", "")[:SHOWN],
        }

    @property
    def called(self) -> str:
        """The chosen class, else the file without its ending."""
        return choice(self.file) or locate(self.file).stem

    def content(self) -> bytes:
        """The file's bytes.

        Raises:
            ConfigError: they are no longer what they were when the configuration was checked.
        """
        if digest(found := read(self.file)) != self.digest:
            raise ConfigError(f"{locate(self.file)} was changed while the run was set up: start again")
        return found


def choice(place: str) -> str | None:
    """The class that a place chooses; None: it leaves the choice to what the file has."""
    found = re.search(CHOICE, place)
    return found.group(1) if found else None


def locate(place: str) -> Path:
    """The file that a place names, without its choice of a class; a dotted name is looked up, nothing is imported.

    Raises:
        ValueError: it names none.
    """
    place = re.sub(CHOICE, "", place)
    if place.endswith(".py"):
        if not (file := typed(place)).is_file():
            raise ValueError(f"there is no file {file.absolute()}")
        return file
    if not re.fullmatch(DOTTED, place):
        raise ValueError("a path that ends in .py, or the dotted name of a module, is needed")
    return _module_file(place)


def _module_file(name: str) -> Path:
    """The source of a module, found from the current folder and in Python's path as an import would find it.

    A package installed in place (`pip install --editable`) may have a finder of its own, and lie nowhere in that path.
    """
    folders, known = [str(Path.cwd()), *sys.path], ""
    for part in name.split("."):
        known = f"{known}.{part}".lstrip(".")
        try:
            spec = next(filter(None, _specs(known, folders)), None)
            folders = list((spec and spec.submodule_search_locations) or [])
        except Exception as error:  # of a finder, or of the folders of a package without a file
            raise ValueError(f"the module {name} cannot be looked up ({error!r}); give the path of its file") from error
        if spec is None:
            raise ValueError(f"there is no module {known}; it is looked for in {Path.cwd()} and in Python's path")
    if spec is None or not str(spec.origin).endswith(".py"):
        raise ValueError(f"the module {name} is no Python file")
    return Path(str(spec.origin))


def _specs(name: str, folders: list[str]) -> Iterator[ModuleSpec | None]:
    """What every finder knows of a module, as it is asked in an import: of one without a dot, without folders."""
    yield PathFinder.find_spec(name, folders)
    for finder in sys.meta_path:
        if hasattr(finder, "find_spec"):
            yield finder.find_spec(name, folders if "." in name else None)


def read(place: str) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: there is none, or it is no text of Python's.
    """
    file = locate(place)
    try:
        found = file.read_bytes()
        found.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    if len(found) > LARGEST:
        raise ValueError(f"{file} has {len(found):,} bytes; at most {LARGEST:,} are kept with a run")
    return found


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return sha256(content).hexdigest()


def own_files(groups: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, OwnFile]]:
    """Those groups of a configuration that take a file of the user's own."""
    return ((name, group) for name, group in groups if isinstance(group, OwnFile))


def texts(groups: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """The files as a run keeps them, by name.

    Raises:
        ConfigError: one was changed since the configuration was checked.
    """
    return {f"{name}.py": group.content().decode() for name, group in own_files(groups)}


def pins(groups: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """By group, the override that takes no other content of its file than the present one."""
    return {name: f"{name}.digest={group.digest}" for name, group in own_files(groups)}
