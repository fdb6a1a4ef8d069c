"""Stores that others have doctored, as input of everything that reads one.

A thing tried is one command on one doctored copy. It is lost where it ends in a traceback, takes over a minute or 3 GB,
writes outside of its folder, asks an address, changes a store that it only reads, or lets one damaged run spoil the
page of the others.
"""

import atexit
import csv
import io
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache, partial
from pathlib import Path

from study.bench.reliability import doctored
from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.doctored import SLUG, Doctor, Store
from study.bench.reliability.watch import watching
from study.errors import ConfigError
from study.report.pages.page import histories
from study.report.spreadsheet import FORMULA

SECONDS, KILOBYTES = 60.0, 3_000_000
CACHE = Path(".data").resolve()
"""Where opponents are kept that were fitted once."""
Command = Callable[[Store, Path], object]


def _report(store: Store, out: Path) -> int:
    from study.report.__main__ import main

    return main([SLUG, "--store", store.uri, "--folder", str(out / "report")])


def _page(store: Store, out: Path) -> int:
    from study.report.__main__ import main

    return main([SLUG, "--run", store.first, "--store", store.uri, "--folder", str(out / "page")])


def _tables(store: Store, out: Path) -> object:
    from study import api

    return [
        api.runs(SLUG, store=store.uri),
        api.history(store.first, store.uri),
        api.lag_profile(store.first, store.uri),
    ]


def _model(store: Store, out: Path) -> object:
    from study import api

    return api.model(store.first, "last", store=store.uri)


def _what_if(store: Store, out: Path) -> object:
    from study import api

    return api.what_if(store.first, "norm=1", store=store.uri)


def _reproduce(store: Store, out: Path) -> int:
    from study.reproduce.__main__ import main

    return main([store.first, "--store", store.uri])


def _ask(store: Store, out: Path) -> int:
    from study.ask.what_if import main

    return main([store.first, "--store", store.uri, "--folder", str(out / "what-if"), "--clips", "norm=1"])


READING: Mapping[str, Command] = {
    "report": _report, "report --run": _page, "api tables": _tables, "api.model": _model, "api.what_if": _what_if,
}  # fmt: skip
WRITING: Mapping[str, Command] = {"what-if": _ask, "reproduce": _reproduce}
"""Commands that write to the store by purpose: beside the files of the run that they were given, and nowhere else."""


@lru_cache(1)
def _built() -> Store:
    """The store that is doctored, made once; reading it warms caches that libraries keep outside of any folder."""
    folder = Path(tempfile.mkdtemp(prefix="study-foreign-")).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.dont_write_bytecode = True
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        store = doctored.build(folder / "store")
        for command in READING.values():
            command(store, folder / "warm")
    return store


def _wrong(name: str, command: Command, store: Store, out: Path) -> Iterator[str]:
    """What a command did that it should not do."""
    said, reads = io.StringIO(), name in READING
    own = [out, Path(tempfile.gettempdir()), *([] if reads else [store.folder, CACHE])]
    before, start = store.dump() if reads else [], time.perf_counter()
    with watching(*own) as seen, redirect_stdout(said), redirect_stderr(said):
        try:
            command(store, out)
        except (ConfigError, SystemExit):
            pass
        except BaseException as error:  # a traceback
            yield f"{type(error).__name__}: {str(error)[:90]}"
    yield from seen[:1]
    if reads and store.dump() != before:
        yield "the store is changed"
    if (took := time.perf_counter() - start) > SECONDS:
        yield f"{took:.0f} s"
    if "\x1b]" in said.getvalue() or "\x1b[2J" in said.getvalue():
        yield "an escape on the terminal"
    if name == "report":
        yield from _spoilt(out / "report", store)


def _spoilt(folder: Path, store: Store) -> Iterator[str]:
    """What is wrong with a page, where one was written."""
    page = folder / "report.html"
    if not page.is_file():
        return
    if store.second not in histories(page):
        yield "the page lacks the other run"
    if re.search(r"<img|<script>alert", page.read_text()):
        yield "markup in the page"
    for file in folder.rglob("*.csv"):
        with file.open(newline="") as lines:
            if any(FORMULA.match(cell) and cell[0] in "=@+" for row in csv.reader(lines) for cell in row):
                yield f"a formula in {file.name}"
    if any(r"\input{" in file.read_text() for file in folder.rglob("*.tex")):
        yield "a command in a LaTeX table"


def _tried(doctors: Mapping[str, Doctor], commands: Mapping[str, Command], folder: Path, seeds: int) -> Tally:
    """Every command on every doctored copy; there is nothing random in it, so seeds do not matter."""
    source, lost, tried = _built(), 0, 0
    (temporary := folder / "tmp").mkdir()
    tempfile.tempdir = str(temporary)
    try:
        for number, (what, doctor) in enumerate(doctors.items()):
            store = source.copy(folder / f"store-{number}")  # MLflow keeps connections, also to what is gone
            doctor(store)
            for name, command in commands.items():
                tried += 1
                wrong = next(_wrong(name, command, store, folder / "out"), "")
                if wrong:
                    print(f"{name}, {what}: {wrong}", file=sys.stderr, flush=True)
                    lost += 1
            for place in (store.folder, folder / "out"):
                shutil.rmtree(place, ignore_errors=True)
    finally:
        tempfile.tempdir = None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    large = f"; {peak / 1e6:.1f} GB" if peak > KILOBYTES else f"; at most {peak / 1e6:.1f} GB"
    return Tally(tried, lost, f"{len(doctors)} stores x {len(commands)} commands{large}")


def _fault(name: str, about: str, doctors: Mapping[str, Doctor], writing: bool) -> Fault:
    commands = {**READING, **WRITING} if writing else READING
    return Fault(f"foreign-{name}", about, partial(_tried, doctors, commands))


FAULTS = [
    _fault("artifacts", "a store's artifacts are bombs, pipes, links, or damaged", doctored.ARTIFACTS, writing=True),
    _fault("places", "a store chooses paths, addresses and ids", doctored.PLACES, writing=True),
    _fault("words", "names in a store are markup, formulas, escapes, LaTeX", doctored.WORDS, writing=False),
    _fault("numbers", "numbers and tags of a store are absurd or missing", doctored.NUMBERS, writing=False),
]
