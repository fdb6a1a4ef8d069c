"""What is typed is given to: functions that take a word as far as it goes without training anything."""

import atexit
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from study.command.arguments import prepared
from study.errors import UNUSABLE
from study.installation import CHECKOUT, CONF
from study.look.__main__ import in_words, look
from study.reproduce.restore import restore
from study.schema import Config, SweepingConfig, check, checked
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.planning.grammar import dimension, grids, space, spelled
from study.terminal import table

NOWHERE = "sqlite:///nowhere.db"
SLUG = "words"
"""Of the runs in the store that is there."""


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


def value(override: str) -> None:
    """Read one override, and check its value in a plain configuration: no whole one is composed."""
    for read in composer().parse(prepared([override])):
        if read.is_interval_sweep():
            dimension(read)
        elif read.is_sweep_override():
            spelled(read)
        else:
            checked(_with(read.key_or_group.split("."), read.value()), Config)


def _with(path: Sequence[str], value: Any) -> dict[str, Any]:
    whole = node = dict(_plain())
    for name in path[:-1]:  # only what is changed is copied
        inner = node.get(name)
        node[name] = dict(inner) if isinstance(inner, dict) else {}
        node = node[name]
    node[path[-1]] = value
    return whole


def composed(overrides: Sequence[str]) -> None:
    """Compose and check a command line."""
    composer().check(prepared(overrides))


def grid(section: tuple[Any, Any]) -> None:
    """Read arms and spaces."""
    arms, search = section
    grids(arms)
    space(search)


def planned(typed: tuple[dict[str, Any], Sequence[str]]) -> None:
    """Plan a sweep from the section of an experiment and a command line."""
    section, overrides = typed
    whole = {"slug": "x", "tracking": {"uri": NOWHERE, "points": 50}, "sweep": section}
    plan = build_plan(check(whole, SweepingConfig).sweep, prepared(overrides), composer())
    plan.describe()


def logged(text: str) -> None:
    """Read the configuration that a run logged."""
    restore(text.encode("utf-8", "surrogatepass"), NOWHERE)


def file(kind: str | None, name: str, text: str) -> None:
    """Look at a file of one kind."""
    path = Path(name)
    path.write_text(text, "utf-8", newline="")
    try:
        in_words(path, look(path, kind))
    finally:
        path.unlink()


def command(typed: tuple[str, Sequence[str]]) -> None:
    """Type a command, up to its store, which is not there."""
    door, arguments = typed
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        try:
            code = import_module(f"study.{door}").main([*arguments, "--store", NOWHERE])
        except SystemExit as end:
            code = end.code
    if code != UNUSABLE:
        raise AssertionError(f"exit code {code}")


def shown(names: Sequence[str]) -> None:
    """Show names in a table, on a terminal."""
    from rich.console import Console

    page = io.StringIO()
    Console(file=page, force_terminal=True, color_system=None).print(table([{"n": n} for n in names], {"run": "{n}"}))
    if any(not (letter.isprintable() or letter == "\n") for letter in page.getvalue()):
        raise AssertionError("a control character reaches the terminal")


@cache
def folder() -> Path:
    """A folder until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="study-words-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def filled() -> str:
    """The address of a store with the runs of a sweep, `elman s0` and `elman s1`, which trained nothing."""
    from study.tracking import sweeps, writer
    from study.tracking.description import describe
    from study.tracking.place import Place

    uri = f"sqlite:///{folder()}/mlflow.db"
    with chdir(folder()):  # artifacts come into the current one
        parent = sweeps.open_parent(uri, SLUG, "plan")
        for seed in (0, 1):
            config = composer().check([f"slug={SLUG}", f"seed={seed}", f"tracking.uri={uri}"])
            with writer.run(describe(config), Place(f"elman s{seed}", parent)):
                pass
        sweeps.close_parent(uri, parent, "FINISHED", {})
    return uri


def stored(typed: tuple[str, str]) -> None:
    """Find the runs that a word means, and read an artifact of the first."""
    from study.tracking.reader import find

    name, artifact = typed
    runs = find(filled(), name)
    for run in runs:
        ids = run.run_id, run.tags.get("mlflow.parentRunId", "")
        named = name in (SLUG, f"sweep {SLUG}", run.name, run.started_as)
        if not named and not any(found.startswith(name) for found in ids):
            raise AssertionError(f"found {run.name} {run.run_id}")
    runs[0].read(artifact)


def made(typed: tuple[str, Mapping[str, str]]) -> None:
    """Give make variables, and look whether the command gets them as they are."""
    target, variables = typed
    (bin := folder() / "bin").mkdir(exist_ok=True)
    if not (program := bin / "python").exists():
        program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
        program.chmod(0o755)
    given = [f"{name}={value}" for name, value in variables.items()]
    line = ["make", "-s", "-f", f"{CHECKOUT}/Makefile", "READY=", f"BIN={bin}", target, *given]
    bare = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}  # a make may run this
    ended = subprocess.run(line, capture_output=True, text=True, errors="surrogateescape", check=False, env=bare)
    arguments = ended.stdout.split("\0")
    if lost := [name for name, value in variables.items() if value and value not in arguments]:
        raise AssertionError(f"{lost} lost: {ended.stderr[:60]}{arguments}")


def recorded(typed: tuple[Any, ...]) -> None:
    """Ask for a gradient history of a small network."""
    from torch.nn import LSTM

    from study.callback.callback import GradientHistory
    from study.callback.layers import find_layer
    from study.callback.watch import FlowWatch

    horizon, known, layer, folder = typed
    GradientHistory(horizon, known, layer, folder)
    FlowWatch(find_layer(LSTM(2, 2), layer), horizon, 10)
