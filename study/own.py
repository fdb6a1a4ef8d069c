"""Classes from files of the user's own: a file is executed, and any mistake in it is one sentence with file and line.

A file is executed by itself, under a name of its own and anew every time it is asked for: what runs is what travels
with the run, and it does not depend on what was run before. So it imports what is installed, and no file beside it.
"""

import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from study.errors import ConfigError, nearest
from study.schema.own import choice, digest, locate, read


class OwnClass:
    """A class that stands in a file of the user's own.

    Args:
        group: of the configuration that it is the option of, such as `model`.
        place: see `study.schema.own.OwnFile`.
        expected: SHA-256 of the file; None: any.
        base: what the class is made from; one of several.

    Attributes:
        found: the class itself.

    Raises:
        ConfigError: the file cannot be executed, or has no such class, or several and none is chosen.
    """

    def __init__(self, group: str, place: str, expected: str | None, *base: type):
        self.group, self._base = group, base
        self.file, content = _located(group, place)
        if expected not in (None, digest(content)):
            raise ConfigError(f"{self.file} was changed while the run was set up: start again")
        self.found = self._chosen(self._executed(content), place)

    def _executed(self, content: bytes) -> ModuleType:
        module = ModuleType(f"study_own_{self.group}")
        module.__file__ = str(self.file)
        sys.modules[module.__name__] = module  # dataclasses and annotations look their module up there
        with self.explained("while the file was read"):
            exec(compile(content, str(self.file), "exec", dont_inherit=True), vars(module))
        return module

    def _chosen(self, module: ModuleType, place: str) -> Any:
        kinds = " or ".join(base.__name__ for base in self._base)
        own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
        fitting = {each.__name__: each for each in own if issubclass(each, self._base)}
        whole = {name: each for name, each in fitting.items() if not inspect.isabstract(each)}
        if wanted := choice(place):
            if wanted not in fitting:
                raise ConfigError(
                    f"{self.file}: no {kinds} is called {wanted}{nearest(wanted, fitting)} "
                    f"(there: {self._listed(fitting) or 'none'})"
                )
            whole = {wanted: fitting[wanted]}
        if not fitting:
            others = f"; its classes {self._listed({each.__name__: each for each in own})} are made from others"
            raise ConfigError(f"{self.file}: there is no subclass of {kinds} in it{others if own else ''}")
        if len(whole) > 1:
            example = f"{self.group}.file={place}:{next(iter(whole))}"
            raise ConfigError(f"{self.file} has several: {self._listed(whole)}; choose one, such as {example}")
        (chosen,) = whole.values() or (next(iter(fitting.values())),)
        if missing := sorted(getattr(chosen, "__abstractmethods__", ())):
            raise ConfigError(f"{self.at(chosen)}: {chosen.__name__} lacks {' and '.join(missing)}")
        return chosen

    def _listed(self, classes: Mapping[str, type]) -> str:
        return ", ".join(f"{name} (line {_line(each)})" for name, each in classes.items())

    def build(self, **options: Any) -> Any:
        """Call the class."""
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        with self.explained(f"while {self.found.__name__}({given}) was built"):
            return self.found(**options)

    def refuse_options(self, options: Mapping[str, Any], given: tuple[str, ...]) -> None:
        """Refuse options that the constructor does not take, and say which it lacks.

        Args:
            options: of the user.
            given: the arguments that are not the user's.
        """
        name, at = self.found.__name__, self.at(self.found.__init__)
        parameters = list(inspect.signature(self.found).parameters.values())
        if loose := [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]:
            raise ConfigError(f"{at}: {name} takes {loose[0]}; name every option, so that a wrong one can be refused")
        own = {p.name: p for p in parameters if p.name not in given}
        listed = ", ".join(f"{key}" if p.default is p.empty else f"{key}={p.default!r}" for key, p in own.items())
        for key in options:
            if key not in own:
                raise ConfigError(
                    f"{self.group}.options.{key}: {name} takes no such option{nearest(key, own)} "
                    f"(it takes {listed or 'none'}; {at})"
                )
        if lacking := [key for key, p in own.items() if p.default is p.empty and key not in options]:
            needed = " ".join(f"{self.group}.options.{key}=..." for key in lacking)
            raise ConfigError(f"{name} needs {needed} ({at})")

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Turn whatever the user's code raises within the block into one sentence."""
        try:
            yield
        except ConfigError:
            raise
        except SyntaxError as error:
            raise ConfigError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
        except (Exception, SystemExit) as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(self.file)]
            where = f"{self.file}, line {lines[-1]}" if lines else str(self.file)
            said = " ".join(str(error).split())
            raise ConfigError(f"{where}: {type(error).__name__}{': ' * bool(said)}{said} ({doing})") from error

    def at(self, what: Any) -> str:
        """Where a function or class is defined, if it is defined in the file."""
        line = _line(what)
        return f"{self.file}, line {line}" if line and _file(what) == str(self.file) else str(self.file)


def _located(group: str, place: str) -> tuple[Path, bytes]:
    """The file and its content."""
    try:
        return locate(place), read(place)
    except ValueError as error:
        raise ConfigError(f"{group}.file = {place!r}: {error}") from error


def _file(what: Any) -> str:
    code = getattr(inspect.unwrap(what), "__code__", None)
    return code.co_filename if code else str(getattr(sys.modules.get(what.__module__), "__file__", ""))


def _line(what: Any) -> int:
    """Of a function its first line; of a class that of its statement."""
    code = getattr(inspect.unwrap(what), "__code__", None)
    if code is not None:
        return int(code.co_firstlineno)
    try:
        return inspect.getsourcelines(what)[1]
    except (OSError, TypeError):
        return 0
