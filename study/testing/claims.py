"""`python -m study.verify cell.py`: what a core must do, claim by claim, and the gradient measures on it, each a table.

The claims are those of `CoreContract`, called one after the other on the core with one layer and with three; the
measures are those of `study.verify.twins`, beside full Jacobians by plain autograd.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from textwrap import shorten
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.errors import ConfigError, nearest
from study.models import core_class
from study.models.own import own_class
from study.schema.model import MODELS
from study.terminal import printer
from study.testing.cores import CoreClass, CoreContract, build, model
from study.verify import twins
from study.verify.check import WIDTH, Check, show

LAYERS = (1, 3)
BUILT = "is built, and takes a step"
LONGEST = 300
"""Characters shown of what fails."""


class Claim(NamedTuple):
    """One claim about a core.

    Attributes:
        words: what is claimed, in short.
        meaning: the same as a sentence.
        fault: what fails; empty where it holds.
        note: why it was not tried; empty where it was.
    """

    words: str
    meaning: str
    fault: str = ""
    note: str = ""


def named(name: str, options: Mapping[str, Any]) -> CoreClass:
    """The class of a registered core, or the one in a file of the user's own, with the options given to it.

    Raises:
        ConfigError: there is neither, or the file cannot be used.
    """
    if name in MODELS:
        if options:
            raise ConfigError(f"{name} is verified as it is; options are for a cell of your own")
        return core_class(name)
    try:
        return own_class(name, None, options)
    except ConfigError as error:
        raise ConfigError(f"{error}{nearest(name, MODELS)}") from error


def claims(kind: CoreClass) -> Iterator[Claim]:
    """Every claim of the contract; only that it can be built, if it cannot."""
    built = Claim(BUILT, "Of every number of layers; every part of the state comes out (batch, width).")
    if fault := _fault(lambda: [build(kind, layers) for layers in LAYERS]):
        yield built._replace(fault=fault)
        return
    yield built
    for name, claim in vars(CoreContract).items():
        if name.startswith("test_"):
            yield _tried(kind, name.removeprefix("test_").replace("_", " "), claim)


def measures(name: str, kind: CoreClass) -> Iterator[Check]:
    """The gradient measures beside their slow twins."""
    step = twins.EQUATIONS.get(name, twins.own)
    for layers in LAYERS:
        yield from twins.compare(step, model(build(kind, layers)), f"{name}, layers: {layers}")


def main(name: str, *options: str) -> int:
    """Print what holds and what fails; exit code 1 if a claim or a measure fails.

    Args:
        name: of a registered core, or the place of a file; see `study.schema.own.OwnFile`.
        options: of its constructor, `key=value`.

    Raises:
        ConfigError: there is no such core, or its file cannot be used.
    """
    kind, console = named(name, _read(options)), Console()
    console.width = max(console.width, WIDTH)
    found = list(claims(kind))
    wrong = [claim for claim in found if claim.fault]
    printer().show("claims", [claim._asdict() for claim in found], _table(name, found), console)
    for claim in wrong:
        fault, meaning = escape(shorten(claim.fault, LONGEST)), escape(claim.meaning)
        console.print(f"[bold red]{claim.words}[/]: {fault}\n  (claimed: {meaning})\n", soft_wrap=True)
    if wrong:
        console.print(f"{len(wrong)} of {len(found)} claims fail; the measures are compared when all hold.")
        return 1
    checks = list(measures(name, kind))
    off = sum(not check.holds for check in checks)
    show(printer(), checks)
    console.print(f"all {len(found)} claims hold; {len(checks) - off} of {len(checks)} measures are within tolerance")
    return 1 if off else 0


def _read(options: Sequence[str]) -> dict[str, Any]:
    pairs = [option.partition("=") for option in options]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise ConfigError(f"{wrong[0]}: write an option of the constructor as key=value")
    return {key: yaml.safe_load(value) for key, _, value in pairs}


def _tried(kind: CoreClass, words: str, claim: Callable[..., None]) -> Claim:
    """One claim, with every number of layers if it is about a core that is built."""
    parameters, sentences = inspect.signature(claim).parameters, inspect.cleandoc(claim.__doc__ or "")
    found = Claim(words, sentences.partition("\n\n")[0])
    for layers in LAYERS if "core" in parameters else LAYERS[:1]:
        arguments = {"core_class": kind} if "core_class" in parameters else {"core": build(kind, layers)}
        torch.manual_seed(0)
        try:
            fault = _fault(partial(claim, CoreContract(), **arguments))
        except pytest.skip.Exception as reason:
            return found._replace(note=str(reason))
        if fault:
            return found._replace(fault=f"{fault} (layers: {layers})")
    return found


def _fault(claimed: Callable[[], object]) -> str:
    """What a claim says where it fails, or what the core raises; empty where neither happens."""
    try:
        claimed()
    except (AssertionError, ConfigError) as error:
        return " ".join(str(error).split())
    except Exception as error:  # of the core, whatever it does
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _table(name: str, found: Sequence[Claim]) -> Table:
    shown = Table(title=f"What a core must do: {escape(name)}", box=SIMPLE)
    shown.add_column("claim", no_wrap=True)
    shown.add_column("")
    for claim in found:
        result = "[bold red]FAILS[/]" if claim.fault else f"[dim]{escape(claim.note)}[/]" if claim.note else "holds"
        shown.add_row(claim.words, result)
    return shown
