"""Whatever is typed ends in a value or in one sentence: kinds of words, the door of each, and what counts as lost.

`python -m study.bench.reliability words-value` draws new ones with its seeds; `tests/test_fuzz.py` the same every time.
"""

import io
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from study.ask.clips import wanted
from study.bench.reliability import mutations
from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.sound import CORPORA, TABLES, TEXTS
from study.command.arguments import prepared
from study.errors import UNUSABLE, ConfigError
from study.installation import CONF
from study.look.__main__ import in_words, look
from study.reproduce.restore import restore
from study.schema import Config, SweepingConfig, check, checked
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.planning.grammar import dimension, grids, space, spelled
from study.terminal import table

SECONDS = 5
"""Of this process, that a word may take to be refused."""
LETTERS, LINES = 4000, 40
"""Of a refusal: a configuration in which everything is wrong has a line for each key."""
NOWHERE = "sqlite:///nowhere.db"
DOORS = ("report.__main__", "resume", "reproduce.__main__", "ask.autopsy", "ask.fork", "ask.why", "ask.what_if")
"""Commands that take the name of a run, or of an experiment."""
OPTIONS = ("--update", "--at", "--json", "--trust-code", "--tolerance", "--formats", "--run", "--no-forks")


@dataclass(frozen=True)
class Kind:
    """One kind of words.

    Attributes:
        about: what is typed.
        drawn: the strategy.
        door: what they are given to; it may write into the current folder, and leaves nothing there.
        cases: how many of them the tests try.
    """

    about: str
    drawn: st.SearchStrategy[Any]
    door: Callable[[Any], object]
    cases: int

    def loses(self, typed: Any) -> str:
        """What is wrong with how the door takes it; empty: it ends in a value or in a sentence."""
        before, started = {*os.listdir()}, time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.door(typed)
        except ConfigError as error:
            if not str(error).strip() or len(str(error)) > LETTERS or str(error).count("\n") > LINES:
                return f"no sentence: {str(error)[:80]!r}"
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:80]!r}"
        if left := {*os.listdir()} - before:
            return f"left {left}"
        return "slow" if time.process_time() - started > SECONDS else ""


@cache
def composer() -> Composer:
    """Of the configuration without an override."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return Composer(loader, loader.load_configuration("train", [], RunMode.MULTIRUN))


@cache
def _plain() -> dict[str, Any]:
    """The same in plain values."""
    found = OmegaConf.to_container(composer().compose([]), resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _value(override: str) -> None:
    """Read one override, and check its value in a plain configuration: no whole one is composed."""
    for read in composer().parse(prepared([override])):
        if read.is_interval_sweep():
            dimension(read)
        elif read.is_sweep_override():
            spelled(read)
        else:
            checked(_with(read.key_or_group.split("."), read.value()), Config)


def _with(path: Sequence[str], value: Any) -> dict[str, Any]:
    whole = node = deepcopy(_plain())
    for name in path[:-1]:
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]
    node[path[-1]] = value
    return whole


def _composed(overrides: Sequence[str]) -> None:
    composer().check(prepared(overrides))


def _grid(section: tuple[Any, Any]) -> None:
    arms, search = section
    grids(arms)
    space(search)


def _planned(typed: tuple[dict[str, Any], Sequence[str]]) -> None:
    section, overrides = typed
    whole = {"slug": "x", "tracking": {"uri": NOWHERE, "points": 50}, "sweep": section}
    plan = build_plan(check(whole, SweepingConfig).sweep, prepared(overrides), composer())
    plan.describe()


def _logged(text: str) -> None:
    restore(text.encode("utf-8", "surrogatepass"), NOWHERE)


def _file(kind: str | None, name: str, text: str) -> None:
    path = Path(name)
    path.write_text(text, "utf-8", newline="")
    try:
        in_words(path, look(path, kind))
    finally:
        path.unlink()


def _command(typed: tuple[str, Sequence[str]]) -> None:
    """A command, up to its store, which is not there."""
    door, arguments = typed
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        try:
            code = import_module(f"study.{door}").main([*arguments, "--store", NOWHERE])
        except SystemExit as end:
            code = end.code
    if code != UNUSABLE:
        raise AssertionError(f"exit code {code}")


def _shown(names: Sequence[str]) -> None:
    """Names in a table, on a terminal."""
    from rich.console import Console

    page = io.StringIO()
    Console(file=page, force_terminal=True, color_system=None).print(table([{"n": n} for n in names], {"run": "{n}"}))
    if any(not (letter.isprintable() or letter == "\n") for letter in page.getvalue()):
        raise AssertionError("a control character reaches the terminal")


def _spoilt(texts: Sequence[str]) -> mutations.Words:
    return mutations.spoilt(texts, mutations.CELLS)


LINE = st.lists(mutations.overrides(), max_size=2)
GIVEN = st.tuples(st.sampled_from(DOORS), st.lists(st.one_of(st.sampled_from(OPTIONS), mutations.names()), max_size=4))
SECTION = st.tuples(mutations.grids(), mutations.searches())
PLANNED = st.tuples(mutations.sections(), LINE)
NAMES = st.lists(mutations.names(), min_size=1, max_size=3)
KINDS = {
    "value": Kind("an override: its grammar, then the schema", mutations.overrides(), _value, 4500),
    "composed": Kind("a command line, composed", LINE, _composed, 150),
    "grid": Kind("arms and spaces of an experiment", SECTION, _grid, 1300),
    "planned": Kind("an experiment and a command line, planned", PLANNED, _planned, 120),
    "logged": Kind("the logged configuration of a run", mutations.logged(), _logged, 800),
    "table": Kind("a damaged table", _spoilt(TABLES), partial(_file, "series", "own.csv"), 500),
    "corpus": Kind("damaged words with labels", _spoilt(CORPORA), partial(_file, "labels", "own.txt"), 600),
    "text": Kind("a damaged file of any kind", _spoilt((*TEXTS, *CORPORA)), partial(_file, None, "own.txt"), 300),
    "clips": Kind("clip policies to ask about", mutations.clips(), wanted, 500),
    "command": Kind("runs and options of commands", GIVEN, _command, 300),
    "name": Kind("names on the terminal", NAMES, _shown, 430),
}
"""By their names in the table of reliability."""


def tried(kind: Kind, cases: int, start: int) -> Counter[str]:
    """Try new words; how many, by what was wrong."""
    found: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=cases, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(kind.drawn)
    def count(typed: Any) -> None:
        found[kind.loses(typed)] += 1

    count()
    return found


def _run(kind: Kind, folder: Path, seeds: int) -> Tally:
    """As many words as the tests have, for twenty seeds; for fewer, fewer."""
    with chdir(folder):
        found = tried(kind, max(1, kind.cases * seeds // 20), seeds)
    wrong = [f"{count} {what}" for what, count in found.most_common() if what]
    return Tally(found.total(), found.total() - found[""], "; ".join(wrong[:3]) or "values and sentences")


FAULTS = [Fault(f"words-{name}", f"typed: {kind.about}", partial(_run, kind)) for name, kind in KINDS.items()]
