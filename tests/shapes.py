"""Annotations of the study, checked while tests run: shapes by jaxtyping, everything else by beartype alone.

jaxtyping prepares every call for names of dimensions, whether there are any or not, which would be a third of the time
of tests that compute. So it gets the functions that have a shape in their annotations.
"""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import beartype

with_shapes = jaxtyping.jaxtyped


def check(package: str) -> None:
    """Check all that is imported from a package from now on."""
    jaxtyping.jaxtyped = _jaxtyped  # type: ignore[assignment]
    jaxtyping.install_import_hook(package, "beartype.beartype")


def _jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
    """Stands for `jaxtyping.jaxtyped`, which jaxtyping's hook puts before every function and class."""

    def decorated(found: Any) -> Any:
        if inspect.isfunction(found) and not inspect.isgeneratorfunction(found):
            hints = {name: _resolved(hint, found.__globals__) for name, hint in found.__annotations__.items()}
            if not any(map(_has_a_shape, hints.values())):
                return _without_shapes(found, hints)
        return with_shapes(found, typechecker=typechecker)

    return decorated


def _without_shapes(function: Any, hints: dict[str, Any]) -> Any:
    """What is checked, and looks as it was written."""
    unknown = {name: Any for name, hint in hints.items() if isinstance(hint, str)}
    written, function.__annotations__ = function.__annotations__, hints | unknown
    checked = beartype(function)
    function.__annotations__ = checked.__annotations__ = written
    return checked


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """A hint without texts in it; the text, where it names what is imported for the type checker alone."""

    def holder() -> None: ...

    holder.__annotations__ = {"value": hint}
    try:
        return get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:
        return hint


def _has_a_shape(hint: Any) -> bool:
    """Whether a hint is of an array, or has one in it; of a text, whether it may be."""
    if isinstance(hint, str):
        return "[Tensor" in hint
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    parts = hint if isinstance(hint, list) else get_args(hint)
    return any(map(_has_a_shape, parts))
