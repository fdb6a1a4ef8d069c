"""A store of runs in trouble while one is trained: locked, failing, slow, suspended, gone, out of reach."""

import random
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import chdir, closing, suppress
from functools import partial
from pathlib import Path
from subprocess import Popen
from unittest.mock import patch

from study.bench.composed import composed
from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.serving import free_port, gated, running, started
from study.errors import Trouble
from study.reproduce.compare import compare
from study.schema import Config
from study.tracking import spool, store, writer
from study.tracking.outbox import deliver
from study.tracking.place import Place
from study.tracking.reader import find_one
from study.train import train
from study.training import recorder

TINY = ("model.hidden_size=4", "trainer.max_updates=1500", "trainer.validate_every=100", "task.batch_size=64")
LOCKED, FAILING, SUSPENDED = 40.0, 60.0, 45.0
"""Seconds."""
DELAY = 1.0
"""Seconds that a slow server takes for each answer."""
SECONDS = 15.0
"""Longest time in which a store that is not there has to be refused."""
Begin = Callable[[], Callable[[], object]]
"""Begins a trouble and returns what ends it."""


def small(uri: str) -> Config:
    """A small run, its store there."""
    return composed(*TINY, "slug=trouble", f"tracking.uri={uri}")


def lasting(config: Config, begin: Begin, seconds: float, seed: int) -> str:
    """Train while the store is in trouble, from a random moment on, for a time; return what was lost, if anything."""
    ends: list[Callable[[], object]] = []

    def disturb() -> None:
        time.sleep(random.Random(seed).uniform(0, 2))
        end = begin()
        ends.append(end)
        time.sleep(seconds)
        end()

    disturbing = threading.Thread(target=disturb)
    announced = Place(announce=lambda _: disturbing.start())
    result = train(config, place=announced)
    disturbing.join()
    if not ends:
        return "the trouble never came"
    return lost(config, result.run_id)


def lost(config: Config, run_id: str) -> str:
    """What a run lacks beside one that was never disturbed; empty where it lacks nothing."""
    run, whole = find_one(config.tracking.uri, run_id), find_one(config.tracking.uri, "undisturbed")
    compared = compare(whole, run)
    if not compared.identical:
        return str(compared)
    if run.status != "FINISHED" or set(run.files()) != set(whole.files()) or set(run.tags) != set(whole.tags):
        return f"{run.status}, files {set(run.files()) ^ set(whole.files())}, tags {set(run.tags) ^ set(whole.tags)}"
    return "a file is left" if spool.place(run_id).exists() else ""


def disturbed(config: Config, begin: Begin, seconds: float, times: int) -> Tally:
    """The tally of some runs beside one that is not disturbed."""
    with patch.object(recorder, "PAUSE", 0.2):
        start = time.monotonic()
        train(config, place=Place("undisturbed"))
        alone = time.monotonic() - start
        found = [lasting(config, begin, seconds, seed) for seed in range(times)]
    wrong = [one for one in found if one]
    seen = f"trouble of {seconds:.0f} s from a random moment in the first 2 s of a run of {alone:.0f} s; "
    seen += "the run equals an undisturbed one"
    return Tally(times, len(wrong), "; ".join([*wrong, seen]))


def locked(folder: Path, seeds: int) -> Tally:
    """The database locked by another program."""

    def lock() -> Callable[[], object]:
        connection = sqlite3.connect(folder / "mlflow.db", timeout=60, check_same_thread=False)
        connection.execute("begin exclusive")
        return connection.close

    with chdir(folder):
        return disturbed(small(f"sqlite:///{folder}/mlflow.db"), lock, LOCKED, max(1, seeds // 10))


def failing(folder: Path, seeds: int) -> Tally:
    """A server that answers 500."""
    with chdir(folder), gated(folder) as gate:
        return disturbed(small(gate.uri), partial(gate.begin, failing=True), FAILING, max(1, seeds // 10))


def slow(folder: Path, seeds: int) -> Tally:
    """A server that takes its time."""
    with chdir(folder), gated(folder) as gate:
        return disturbed(small(gate.uri), partial(gate.begin, delay=DELAY), FAILING, max(1, seeds // 10))


def suspended(folder: Path, seeds: int) -> Tally:
    """A server that is stopped, then continued: it takes requests and does not answer."""
    with chdir(folder), running(folder) as (server, port):

        def stop() -> Callable[[], object]:
            server.send_signal(signal.SIGSTOP)
            return lambda: server.send_signal(signal.SIGCONT)

        return disturbed(small(f"http://127.0.0.1:{port}"), stop, SUSPENDED, max(1, seeds // 10))


def gone(folder: Path, seeds: int) -> Tally:
    """A server killed while a run is trained, and started again after the run has ended."""
    port, times = free_port(), max(1, seeds // 4)
    servers = [started(folder, port)]
    try:
        with chdir(folder), patch.object(recorder, "PAUSE", 0.2), patch.object(writer, "PATIENCE", 3.0):
            config = small(f"http://127.0.0.1:{port}")
            train(config, place=Place("undisturbed"))
            wrong = [_delivered(config, folder, servers, port, seed) for seed in range(times)]
    finally:
        servers[-1].kill()
        servers[-1].wait()
    found = [one for one in wrong if one]
    return Tally(times, len(found), "; ".join([*found, "delivered from the file, the run equals an undisturbed one"]))


def _delivered(config: Config, folder: Path, servers: list[Popen[bytes]], port: int, seed: int) -> str:
    """Train while the server is killed, start another, deliver; return what was lost, if anything."""
    ids: list[str] = []

    def kill(run_id: str) -> None:
        ids.append(run_id)
        threading.Timer(random.Random(seed).uniform(0, 2), servers[-1].kill).start()

    with suppress(Trouble):
        train(config, place=Place(announce=kill))
        return "nobody noticed"
    servers[-1].wait()
    servers.append(started(folder, port))
    deliver(spool.place(ids[0]))
    return lost(config, ids[0])


def away(folder: Path, _: int) -> Tally:
    """A server that takes requests and never answers, one that is not there, a database that is not there."""
    silent = socket.create_server(("127.0.0.1", 0))
    uris = [f"http://127.0.0.1:{silent.getsockname()[1]}", f"http://127.0.0.1:{free_port()}"]
    uris.append(f"postgresql+psycopg://me@127.0.0.1:{free_port()}/runs")
    took = []
    with chdir(folder), closing(silent):
        for uri in uris:
            start = time.monotonic()
            with suppress(Trouble):
                store.prepare(uri, "away")
                start = 0.0
            took.append(time.monotonic() - start)
    return Tally(len(uris), sum(one > SECONDS for one in took), "refused in " + ", ".join(f"{s:.1f} s" for s in took))


FAULTS = [
    Fault("store-locked", "the database locked by another program while a run is trained", locked),
    Fault("server-fails", "MLflow's server answering 500 while a run is trained", failing),
    Fault("server-slow", "MLflow's server taking a second for each answer", slow),
    Fault("server-suspended", "MLflow's server stopped while a run is trained, then continued", suspended),
    Fault("server-gone", "MLflow's server killed while a run is trained; started again after its end", gone),
    Fault("store-away", "a store that is not there when a command begins", away),
]
