"""`study-fork RUN --at N overrides`: a logged run, continued from one of its updates under another treatment."""

import itertools
import math
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from study.ask import command
from study.errors import ConfigError
from study.installation import about
from study.processes import adopt, warm
from study.reproduce.trust import code_folder
from study.terminal import interruptible

if TYPE_CHECKING:
    import pandas as pd

    from study.ask.finding import Finding
    from study.schema import Config
    from study.tracking.reader import Logged

Treatment = tuple[str, ...]
"""Overrides in Hydra's syntax."""
LIMITS = (
    "A fork is one pair of runs. It shows what this treatment does to this run from this update on; whether it does so "
    "for other seeds, or from another update on, only more of them can show. A chaotic training also parts from itself "
    "after a change of the last bit, so a difference no larger than that between seeds is no effect of the treatment."
)


def fork(parent: "Logged", treatments: Sequence[Treatment], at: int, folder: Path | None = None) -> "list[Logged]":
    """Continue a run from an update under other treatments, one process a core; the run stays as it was.

    Args:
        parent: the run.
        treatments: what to change, a fork for each.
        at: the last update that parent and forks have in common.
        folder: where code that was logged with the run is put; None: it is not trusted.

    Returns:
        The forks, in the order of the treatments.

    Raises:
        ConfigError: a treatment cannot be used or would make another run, or the run cannot be taken up there; nothing
            was trained then.
    """
    from study.reproduce import replay
    from study.reproduce.fork import beginning, refuse
    from study.reproduce.restore import restore_run
    from study.tracking.reader import find

    restored = restore_run(parent, folder)
    parent.refuse_elsewhere(restored.config.slug)
    replay.refuse(parent, at)
    for treatment in treatments:
        refuse(restored.config, restore_run(parent, folder, treatment).config)
    print(_cost(parent, restored.config, len(treatments), at), file=sys.stderr)
    replay.state_at(parent, restored.config, at, beginning(parent, folder))  # once for all: the forks find it
    jobs = [(parent, treatment, at, folder) for treatment in treatments]
    if len(jobs) == 1:
        found = [_train(*jobs[0])]
    else:
        here = adopt, (dict(os.environ),)
        with ProcessPoolExecutor(min(len(jobs), os.cpu_count() or 1), warm(), *here) as pool:
            found = list(pool.map(_train, *zip(*jobs, strict=True)))
    return [find(parent.uri, run_id)[0] for run_id in found]


def _train(parent: "Logged", treatment: Treatment, at: int, folder: Path | None) -> str:
    """Train one fork; return its MLflow run id."""
    from study.reproduce.fork import start
    from study.reproduce.restore import restore_run
    from study.tracking.answers import AT, FROM, TREATMENT
    from study.tracking.place import Place
    from study.train import train
    from study.training import checkpoint

    config = restore_run(parent, folder, treatment).config
    tags = {"kind": "fork", FROM: parent.run_id, AT: at, TREATMENT: " ".join(treatment)}
    state = start(parent, restore_run(parent, folder), config, at)
    name = f"{' '.join(treatment)}, from {at} of {parent.started_as}"
    return train(config, treatment, Place(name, parent.run_id, tags, checkpoint.FOLDER, start=state)).run_id


def treatments(overrides: Sequence[str]) -> list[Treatment]:
    """Every combination of the values given, as in a sweep: `clip.threshold=.1,1` makes two.

    Raises:
        ConfigError: Hydra cannot read one, or it is an interval.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from study.command.messages import explained
    from study.sweep.planning.grammar import spelled

    with explained():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    for one in parsed:
        if one.is_interval_sweep():
            raise ConfigError(f"{one.input_line}: an interval has no values to choose; give them with commas")
    values = [[f"{one.get_key_element()}={value}" for value in spelled(one)] for one in parsed]
    return [*itertools.product(*values)] if values else []


def find_out(wanted: str, overrides: Sequence[str], at: int, store: str, folder: Path | None = None) -> "Finding":
    """Fork a run, and put parent and forks side by side.

    Args:
        wanted: the run's id, the start of it, or its name.
        overrides: see `treatments`.
        at: see `fork`.
        store: MLflow tracking URI.
        folder: see `fork`.

    Raises:
        ConfigError: see `fork`.
    """
    from study.ask.finding import Finding
    from study.report.pages import asked as parts
    from study.tracking.reader import find_one

    parent = find_one(store, wanted)
    asked = treatments(overrides)
    if not asked:
        raise ConfigError("a fork needs a changed treatment, such as clip=norm clip.threshold=0.1")
    forks = fork(parent, asked, at, folder)
    shared = sum(_in_common(parent, one, at) for one in forks)
    sentence = f"{parent.started_as} from update {at:,} on: {'; '.join(_sentences(parent, forks))}."
    proof = f"In common with the run: {shared:,} of {at * len(forks):,} updates are the same in every recorded number."
    again = about("fork", parent.run_id, "...", at=at)
    shown = [parts.forks(parent, forks, proof)]
    return Finding(
        "fork",
        [parent],
        sentence,
        LIMITS,
        shown,
        {"forks": _compared(parent, forks)},
        (again, "Another treatment"),
        keepers=forks,
    )


def _compared(parent: "Logged", forks: "Sequence[Logged]") -> "pd.DataFrame":
    """The run and its forks, one row each."""
    import pandas as pd

    from study.tracking.answers import TREATMENT

    measure = parent.tags.get("primary", "loss")
    answers = {
        run.run_id: {key: run.tags.get(key) for key in ("outcome", "verdict", "cause")} for run in (parent, *forks)
    }
    rows = [
        {"run_id": run.run_id, "treatment": "" if run is parent else run.tags[TREATMENT], **answers[run.run_id]}
        | {key: run.measures.get(key, math.nan) for key in (f"{measure}/test", "run/updates")}
        for run in (parent, *forks)
    ]
    return pd.DataFrame(rows)


def _sentences(parent: "Logged", forks: "Sequence[Logged]") -> Iterator[str]:
    from study.report.figures.forks import PARENT
    from study.tracking.answers import TREATMENT

    measure = parent.tags.get("primary", "loss")
    for one in (parent, *forks):
        value = one.measures.get(f"{measure}/test", math.nan)
        name = PARENT if one is parent else one.tags[TREATMENT]
        tested = f", {measure} {value:.4g} on test" if math.isfinite(value) else ""
        yield f"{name}: {one.tags.get('outcome')}{tested}"


def _in_common(parent: "Logged", one: "Logged", at: int) -> int:
    """Updates up to which both have the same in every number that both recorded."""
    import numpy as np

    before, after = (run.table("gradients.parquet").iloc[:at] for run in (parent, one))
    shared = [column for column in before if column in after]
    a, b = (table[shared].to_numpy(np.float64) for table in (before, after))
    same = ((a == b) | (np.isnan(a) & np.isnan(b))).all(1)
    return int(same.all()) * at if same.all() else int(same.argmin())


def _cost(parent: "Logged", config: "Config", forks: int, at: int) -> str:
    """What forks will cost, by the pace of the run itself; one that diverged made fewer updates than they will."""
    from study.reproduce.replay import place

    updates, each = command.pace(parent)
    kept = place(parent, at).is_file()
    replay = "its state is kept" if kept else f"a replay of {at:,} of {updates:,} updates"
    budget = max(updates, config.trainer.max_updates or 0)
    total = (0 if kept else at) + forks * max(0, budget - at) / min(forks, os.cpu_count() or 1)
    forked = f"{forks} forks" if forks > 1 else "the fork"
    return f"Before {forked}: {replay}. In all about {total * each:.0f} s, by the run's own pace."


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Fork a run from the command line."""
    parser = command.parser("fork", "Continue a run from one of its updates under a changed treatment.")
    parser.add_argument("overrides", nargs="*", help="what to change, in Hydra's syntax; a,b makes a fork of each")
    parser.add_argument("--at", type=int, required=True, help="the last update that run and forks have in common")
    given = parser.parse_intermixed_args(arguments)

    def ask() -> "Finding":
        with code_folder(given.trust_code) as folder:
            return find_out(given.run, given.overrides, given.at, given.store, folder)

    return command.answered(given, ask)


if __name__ == "__main__":
    sys.exit(main())
