"""Every place that commands write to, full or read-only, before and at several moments of every command.

Lost is a try that ended with a traceback, with another exit code than 2, without a sentence that says what is wrong,
with a file in halves, or with a run that did not come to the numbers of an undisturbed one once there was room again.
"""

import os
import random
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from study.bench.reliability.commands import warm
from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.moments import STORE, STRUCK, Typed, in_a_process, type_command
from study.bench.reliability.small_disk import SmallDisk, alone
from study.data.folders import folder as data_folder
from study.errors import UNUSABLE

UPDATES = 6
TINY = ["model.hidden_size=4", f"trainer.max_updates={UPDATES}", "probe=none", "task.batch_size=512"]
TINY += ["trainer.checkpoint=0.001", "trainer.progress_bar=false", f"data.carriers={data_folder(None, 'carriers')}"]
SWEEP = ["--multirun", *TINY, "slug=swept", "seed=0,1", "hydra/launcher=basic"]
KILLED = 9
"""An exit code."""
PLACES = {
    "outputs": "outputs",
    "checkpoints": "outputs/checkpoints",
    "store": "store",
    "artifacts": "mlruns",
    "study": "study",
    "temporary": "tmp",
}
"""Folders, by what lies in them."""
SAID = re.compile(r"^\S.*: (.*; .*, then .*|no space is left .*|it may only be read|.* is needed)$", re.M)
"""The sentence: place, what is wrong, what to do, what works then; at the end of a command that did its work, less."""


class Obstacle(NamedTuple):
    """A command, a place it writes to, a moment."""

    module: str
    arguments: Sequence[str]
    place: str
    moment: str


def cases() -> list[Obstacle]:
    """All that are tried."""
    during = ("before", "define", "update", "checkpoint", "end")
    one = [*TINY, "slug=tried"]
    runs = [Obstacle("study.train", one, place, at) for place in PLACES if place != "study" for at in during]
    sweeps = [Obstacle("study.train", SWEEP, place, at) for place in PLACES for at in ("before", "update", "end")]
    asked = [
        Obstacle("study.report", ["tried"], "outputs", "before"),
        Obstacle("study.report", ["tried"], "outputs", "page"),
        Obstacle("study.report", ["tried", "--keep"], "artifacts", "before"),
        Obstacle("study.reproduce", ["{finished}"], "temporary", "before"),
        Obstacle("study.trained.export", ["{finished}"], "temporary", "before"),
        Obstacle("study.trained.export", ["{finished}"], "artifacts", "before"),
        Obstacle("study.trained.export", ["{finished}"], "store", "before"),
        Obstacle("study.ask.fork", ["{finished}", "--at", "3", "optimizer.lr=0.1"], "outputs", "before"),
        Obstacle("study.ask.fork", ["{finished}", "--at", "3", "optimizer.lr=0.1"], "store", "update"),
        Obstacle("study.ask.fork", ["{finished}", "--at", "3", "optimizer.lr=0.1"], "outputs", "page"),
        Obstacle("study.ask.what_if", ["{finished}"], "outputs", "page"),
        Obstacle("study.ask.why", ["{finished}", "--no-forks"], "outputs", "page"),
        Obstacle("study.resume", ["{killed}"], "checkpoints", "before"),
        Obstacle("study.resume", ["{killed}"], "store", "end"),
    ]
    found = [*asked, *runs, *sweeps]
    random.Random(0).shuffle(found)  # so that a part has some of each
    return found


def tried(kind: str, folder: Path, seeds: int) -> Tally:
    """Every case with one kind of trouble; with fewer than 20 seeds that part of them."""
    chosen = [case for number, case in enumerate(cases()) if number % 20 < seeds]
    if kind == "close":
        chosen = [case for case in chosen if case.moment in ("before", "page")]
    warm()
    (template := folder / "template").mkdir()
    known = in_a_process(_prepare, template)
    lost = limited = 0
    for number, case in enumerate(chosen):
        place = folder / str(number)
        _copied(template, place)
        wrong, real = in_a_process(_try, place, case, kind, known)
        limited += not real
        lost += bool(wrong)
        if wrong:
            print(
                f"{case.module} {'--multirun' * (case.arguments is SWEEP)}, {case.place}, {case.moment}: {wrong}",
                file=sys.stderr,
                flush=True,
            )
        shutil.rmtree(place, ignore_errors=True)
    how = f"; {limited} by limits of the process, as nothing can be mounted" if limited else ""
    return Tally(
        len(chosen),
        lost,
        f"{len({case.place for case in chosen})} places, {len({case.moment for case in chosen})} moments{how}",
    )


def _prepare(folder: Path) -> dict[str, str]:
    """Make a sweep that is done, and a run that was killed; return their ids, and the numbers of each seed."""
    for place in PLACES.values():
        (folder / place).mkdir(parents=True, exist_ok=True)
    assert type_command(folder, "study.train", [*SWEEP[:-3], "slug=tried", *SWEEP[-2:]]).code == 0
    dies = partial(os._exit, KILLED)
    assert type_command(folder, "study.train", [*TINY, "slug=tried", "seed=1"], dies, "end").code == KILLED
    runs = _runs(folder, "tried")
    numbers = {run.seed: _numbers(run) for run in runs if run.status == "FINISHED"}
    found = {run.status.lower(): run.id for run in runs}
    return {"finished": found["finished"], "killed": found["running"], **numbers}


def _copied(template: Path, folder: Path) -> None:
    """A copy whose store knows that its files are here."""
    shutil.copytree(template, folder)
    with closing(sqlite3.connect(folder / STORE)) as store, store:
        for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
            store.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(template), str(folder)))


def _try(folder: Path, case: Obstacle, kind: str, known: dict[str, str]) -> tuple[str, bool]:
    """Type a command in trouble, then what it says or the same; return what is wrong, and whether the disk was real."""
    real = alone()
    disk = SmallDisk(folder / PLACES[case.place], real)
    arguments = [argument.format(**known) for argument in case.arguments]
    typed = type_command(folder, case.module, arguments, getattr(disk, kind), case.moment)
    wrong = [*_misled(typed), *_halves(folder), *_counted(folder)]
    wrong += [] if (folder / STRUCK).exists() else ["the trouble never came"]
    disk.mend()
    if typed.code == UNUSABLE:
        then = type_command(folder, *_what_to_type(typed.said, case.module, arguments))
        wrong += [f"then exit code {then.code}: {then.said[-300:]}"] if then.code else []
    return next(iter([*wrong, *_other_numbers(folder, case, known)]), ""), real


def _what_to_type(said: str, module: str, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Module and arguments of the command that a sentence names, else of the same command."""
    if again := re.search(r"study-resume (\w{32})", said):
        return "study.resume", [again[1]]
    return ("study.deliver", []) if "`study-deliver`" in said else (module, arguments)


def _misled(typed: Typed) -> Iterator[str]:
    """What is wrong with what a command said in trouble; it may also have done without the place."""
    if typed.code not in (0, UNUSABLE):
        yield f"exit code {typed.code}: {typed.said[-300:]}"
    if "Traceback" in typed.said or "Exception ignored" in typed.said:
        yield "a traceback"
    if typed.code == UNUSABLE and not SAID.search(typed.said):
        yield f"no sentence: {typed.said[-300:]}"


def _halves(folder: Path) -> Iterator[str]:
    """Files that are not whole."""
    for file in folder.rglob("*"):
        if file.suffix in (".part", ".new") or (file.suffix in (".html", ".ckpt") and not file.stat().st_size):
            yield f"{file} is left"
        if file.suffix == ".parquet":
            try:
                pq.read_schema(file)
            except (pa.ArrowException, OSError):
                yield f"{file} is written in part"


def _counted(folder: Path) -> Iterator[str]:
    """Runs whose trouble counts as a result."""
    yield from (f"run {run.id} counts as {run.status}" for run in _runs(folder) if run.status == "FAILED")


def _other_numbers(folder: Path, case: Obstacle, known: dict[str, str]) -> Iterator[str]:
    """Runs that are missing, or have other numbers than without the trouble."""
    slug = "swept" if "slug=swept" in case.arguments else "tried"
    done = [run for run in _runs(folder, slug) if run.status == "FINISHED"]
    wanted = {"swept": 2, "tried": 2 + (case.module in ("study.train", "study.resume"))}[slug]
    again = case.module == "study.reproduce"  # what makes a run again logs it too
    if len(done) < wanted or (len(done) > wanted and not again):
        yield f"{len(done)} of {wanted} runs"
    yield from (f"run {run.id} has other numbers" for run in done if _numbers(run) != known[run.seed])


class Kept(NamedTuple):
    """A run of a store."""

    id: str
    status: str
    seed: str
    folder: str


def _runs(folder: Path, slug: str = "%") -> list[Kept]:
    """The runs of a store, but those of sweeps, answers and forks."""
    query = """select run_uuid, status, value, runs.artifact_uri from runs join experiments using (experiment_id)
        join params using (run_uuid) where key = 'seed' and experiments.name like ? and run_uuid not in
        (select run_uuid from tags where key = 'forked_from')"""
    with closing(sqlite3.connect(folder / STORE)) as store:
        return [Kept(*row) for row in store.execute(query, (slug,))]


def _numbers(run: Kept) -> str:
    """Every number of a history, in short."""
    table = pq.read_table(Path(run.folder, "gradients.parquet")).to_pandas()
    return sha256(table.to_csv().encode()).hexdigest()


FAULTS = [
    Fault("disk-full", "the disk of one place full: before, and at moments of every command", partial(tried, "fill")),
    Fault("read-only", "one place read-only: before, and as a page is written", partial(tried, "close")),
]
