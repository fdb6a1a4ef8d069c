"""Whatever is typed ends in a value or in one sentence: kinds of words, the door of each, and what counts as lost.

`python -m study.bench.reliability words-value` draws new ones with its seeds; `tests/test_fuzz.py` the same every time.
"""

import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from study.ask.clips import wanted
from study.bench.reliability import doors, mutations
from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.sound import CORPORA, TABLES, TEXTS
from study.errors import ConfigError

SECONDS = 5
"""Of this process, that a word may take to be refused."""
LETTERS, LINES = 4000, 40
"""Of a refusal: a configuration in which everything is wrong has a line for each key."""
BATCH = 10
"""Words that are drawn together."""
COMMANDS = ("report.__main__", "resume", "reproduce.__main__", "ask.autopsy", "ask.fork", "ask.why", "ask.what_if")
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
                warnings.filterwarnings("ignore", "The ``noload`` loader strategy")  # MLflow's tables
                self.door(typed)
        except ConfigError as error:
            said = str(error)
            if not said.strip() or len(said) > LETTERS or said.count("\n") > LINES:
                return f"no sentence: {said[:80]!r}"
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:80]!r}"
        if left := {*os.listdir()} - before:
            return f"left {left}"
        return "slow" if time.process_time() - started > SECONDS else ""


def _spoilt(texts: Sequence[str]) -> mutations.Words:
    return mutations.spoilt(texts, mutations.CELLS)


LINE = st.lists(mutations.overrides(), max_size=2)
GIVEN = st.tuples(
    st.sampled_from(COMMANDS), st.lists(st.one_of(st.sampled_from(OPTIONS), mutations.names()), max_size=4)
)
SECTION = st.tuples(mutations.grids(), mutations.searches())
PLANNED = st.tuples(mutations.sections(), LINE)
STORED = st.tuples(mutations.names(), st.one_of(st.just("plan.yaml"), mutations.ANY_VALUE))
RECORDED = st.tuples(
    st.one_of(st.none(), st.integers()),
    st.booleans(),
    st.one_of(st.none(), st.just(""), mutations.ANY_VALUE),
    st.one_of(st.none(), mutations.ANY_VALUE),
)
NAMES = st.lists(mutations.names(), min_size=1, max_size=3)
KINDS = {
    "value": Kind("an override: its grammar, then the schema", mutations.overrides(), doors.value, 3500),
    "composed": Kind("a command line, composed", LINE, doors.composed, 100),
    "grid": Kind("arms and spaces of an experiment", SECTION, doors.grid, 1100),
    "planned": Kind("an experiment and a command line, planned", PLANNED, doors.planned, 60),
    "logged": Kind("the logged configuration of a run", mutations.logged(), doors.logged, 1000),
    "table": Kind("a damaged table", _spoilt(TABLES), partial(doors.file, "series", "own.csv"), 250),
    "corpus": Kind("damaged words with labels", _spoilt(CORPORA), partial(doors.file, "labels", "own.txt"), 900),
    "text": Kind("a damaged file of any kind", _spoilt((*TEXTS, *CORPORA)), partial(doors.file, None, "own.txt"), 600),
    "clips": Kind("clip policies to ask about", mutations.clips(), wanted, 700),
    "command": Kind("runs and options of commands", GIVEN, doors.command, 600),
    "stored": Kind("names of runs and artifacts, in a store with runs", STORED, doors.stored, 80),
    "make": Kind("variables of make", mutations.variables(), doors.made, 100),
    "history": Kind("arguments of GradientHistory", RECORDED, doors.recorded, 200),
    "name": Kind("names on the terminal", NAMES, doors.shown, 700),
}
"""By their names in the table of reliability."""


def tried(kind: Kind, cases: int, start: int | None = None) -> tuple[int, list[tuple[Any, str]]]:
    """Try words of one kind.

    Args:
        kind: of words.
        cases: how many, rounded up to whole batches: drawing one by one takes longer than trying.
        start: of the draws; None: the same ones every time.

    Returns:
        How many there were, and those that were lost, each with what was wrong.
    """
    lost: list[tuple[Any, str]] = []
    count = 0

    def batch(words: tuple[Any, ...]) -> None:
        nonlocal count
        for typed in words:
            count += 1
            if wrong := kind.loses(typed):
                lost.append((typed, wrong))

    drawn = given(st.tuples(*[kind.drawn] * BATCH))(batch)
    settings(
        max_examples=-(-cases // BATCH),
        derandomize=start is None,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )(drawn if start is None else seed(start)(drawn))()
    return count, lost


def _run(kind: Kind, folder: Path, seeds: int) -> Tally:
    """As many words as the tests have, for twenty seeds; for fewer, fewer."""
    with chdir(folder):
        count, lost = tried(kind, max(1, kind.cases * seeds // 20), seeds)
    wrong = [f"{times} {what}" for what, times in Counter(what for _, what in lost).most_common(3)]
    return Tally(count, len(lost), "; ".join(wrong) or "values and sentences")


FAULTS = [Fault(f"words-{name}", f"typed: {kind.about}", partial(_run, kind)) for name, kind in KINDS.items()]
