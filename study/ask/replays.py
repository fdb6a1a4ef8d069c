"""One run under every policy that it is asked about: its history and its own policy read, the others replayed on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from study.analysis.what_if import Deeds, Past, Replay, askable, deeds, replay, summary
from study.ask.clips import Wanted, called, checked
from study.errors import ConfigError
from study.reproduce.compare import HISTORY, history, unrecorded
from study.reproduce.restore import CONFIG, parse
from study.reproduce.trust import logged_code
from study.schema.clip import CLIPS, ClipConfig
from study.schema.defaults import fill
from study.tracking.reader import Logged

SECONDS = 2e-4
"""What one policy takes for one update, on one core."""


@dataclass(frozen=True)
class Replayed:
    """What policies would have done to a run.

    Attributes:
        run: that was asked.
        record: its logged configuration, complete.
        own: its own policy.
        past: its updates.
        did: what it did to its gradients.
        policies: of every policy that can be asked, by name: the configuration and what it would have done; the run's
            own first, if it can be asked.
        labels: what these are called where runs have thresholds of their own, by name.
        silent: names of those that cannot be asked.
    """

    run: Logged
    record: Mapping[str, Any]
    own: ClipConfig
    past: Past
    did: Deeds
    policies: Mapping[str, tuple[ClipConfig, Replay]]
    labels: Mapping[str, str]
    silent: Sequence[str]

    @property
    def replays(self) -> dict[str, Replay]:
        """What every policy would have done, by name."""
        return {name: replayed for name, (_, replayed) in self.policies.items()}

    def table(self) -> pd.DataFrame:
        """One row a policy, see `summary`; `own`: it is the run's own."""
        rows = [
            {"policy": name, "label": self.labels[name], "own": config == self.own}
            | summary(self.past, self.did, replayed)
            for name, (config, replayed) in self.policies.items()
        ]
        return pd.DataFrame(rows)


def ask(run: Logged, policies: Sequence[Wanted], folder: Path | None) -> Replayed:
    """Replay policies on a run.

    Args:
        run: that was trained.
        policies: to ask about.
        folder: where a policy that was logged with the run is put, to be executed from there; None: it is not trusted.

    Raises:
        ConfigError: its history or configuration cannot be read.
        Untrusted: its own policy is code that was logged with it, and there is no folder.
    """
    table, record = history(run), parse(run.read(CONFIG))
    fill(record)
    own = _own(run, record["clip"], folder)
    past = Past.of(table, own.of_the_flow)
    mine = replay(own, past)
    found = {} if mine is None else {called(own): (own, mine)}
    labels, silent = dict.fromkeys(found, "its own"), [] if mine is not None else [called(own)]
    for one in policies:
        if (config := one.config(past.finite)) is None:
            continue
        name = called(config) + (f" (p{one.percentile})" if one.percentile else "")
        if config == own and mine is not None:
            labels[called(own)] = one.label
        elif (replayed := replay(config, past)) is None:
            silent.append(one.name)
        else:
            found[name], labels[name] = (config, replayed), one.label
    return Replayed(run, record, own, past, deeds(past, mine), found, labels, list(dict.fromkeys(silent)))


def _own(run: Logged, node: Mapping[str, Any], folder: Path | None) -> ClipConfig:
    """The policy that a run was trained with.

    Raises:
        ConfigError: this version does not have it so.
        Untrusted: see `ask`.
    """
    name = str(node.get("name"))
    if name not in CLIPS:
        raise ConfigError(
            f"clip.name = {name!r}: run {run.run_id} was trained with a policy that is not there any more"
        )
    if name not in tuple(CLIPS):
        node = {**node, "file": logged_code(run, folder)({"clip": dict(node)})["clip"]}
    return checked(name, node)


def refuse_empty(runs: Sequence[Logged]) -> list[Logged]:
    """The runs that recorded updates.

    Raises:
        ConfigError: none did.
    """
    if not (kept := [run for run in runs if run.measures.get("run/updates", 0) > 0 and HISTORY in run.files()]):
        raise ConfigError(f"{unrecorded(runs[0])}, so nothing can be replayed")
    return kept


def cost(runs: Sequence[Logged], policies: Sequence[Wanted]) -> str:
    """A sentence that says how long it will take."""
    updates = sum(run.measures.get("run/updates", 0) for run in runs)
    configs = [one.config(np.ones(1)) for one in policies]
    count = sum(config is not None and askable(config) is not None for config in configs)
    seconds = SECONDS * updates * count
    return f"{count} policies, {updates:,.0f} updates of {len(runs)} run(s): some {max(1, np.ceil(seconds)):.0f} s"
