"""All measures a run asks for, taken on one frozen batch whenever they are due, and kept by update.

Nothing of the training is disturbed: no probe draws random numbers, writes to a gradient, a parameter or the
optimizer's state, or touches the state carried between windows.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from study.learning.bptt import TruncatedBPTT
from study.probes.flow import Flow, reachable
from study.probes.result import ProbeResult
from study.probes.schedule import NEVER, Schedule
from study.schema.probe import PROBES, ProbeConfig
from study.tasks.contract import Batch

SEARCHED = 100
"""Batches looked through for one that is long enough."""


class Taken(NamedTuple):
    """All measures after one update, by name."""

    update: int
    measures: dict[str, ProbeResult]


class Probes:
    """Takes the measures that `conf/probe` names.

    Args:
        config: which, and when.
        batches: of the training split; the first that is long enough for every lag is frozen, or the longest seen.
        horizon: the lag at which the task needs the past.

    Attributes:
        due: the update after which to measure next.
        taken: all so far.
    """

    def __init__(self, config: ProbeConfig, batches: Iterable[Batch], horizon: int):
        self._plans = {name: plan for name in PROBES if (plan := getattr(config, name)) not in (None, False)}
        if config.flow:  # the verdict asks at the horizon, however far back that is
            self._plans["flow"] = config.flow.model_copy(update={"max_lag": max(config.flow.max_lag, horizon)})
        self._schedule, self._batches, self.horizon = Schedule(config.every, config.per_decade), batches, horizon
        self._batch: Batch | None = None
        self.due = self._schedule.first() if self._plans else NEVER
        self.taken: list[Taken] = []
        self._told = 0

    def measure(self, update: int, bptt: TruncatedBPTT) -> None:
        """Take all measures as the model is now, after `update` updates."""
        batch = self.frozen(next(bptt.model.parameters()).device)
        measures = {name: PROBES.implementation(name).measure(plan, bptt, batch) for name, plan in self._plans.items()}
        self.taken.append(Taken(update, measures))
        self.due = self._schedule.after(update)

    def finish(self, update: int, bptt: TruncatedBPTT) -> None:
        """Measure at the end of the run, unless this has just been done."""
        if self._plans and (not self.taken or self.taken[-1].update != update):
            self.measure(update, bptt)

    def state(self) -> list[tuple[int, dict[str, Any]]]:
        """All measures taken, to be kept in a file: tensors and plain values."""
        return [(t.update, {name: m.state() for name, m in t.measures.items()}) for t in self.taken]

    def restore(self, state: list[tuple[int, dict[str, Any]]]) -> None:
        """Go on after the measures whose `state` this is; all of them are told again."""
        for update, measures in state:
            kinds = {name: PROBES.implementation(name).restored(kept) for name, kept in measures.items()}
            self.taken.append(Taken(update, kinds))
            self.due = self._schedule.after(update)

    def last(self, kind: type[Any]) -> Any:
        """The last measure of a kind; None where it was not taken."""
        found = [m for taken in self.taken[-1:] for m in taken.measures.values() if isinstance(m, kind)]
        return found[0] if found else None

    def points(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The scalars of every update not told yet."""
        for taken in self.taken[self._told :]:
            yield taken.update, self._scalars(taken)
        self._told = len(self.taken)

    @property
    def final(self) -> dict[str, float]:
        """The scalars at the end."""
        return self._scalars(self.taken[-1]) if self.taken else {}

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Everything, a table a measure, with the update as first column."""
        for name in self._plans:
            frames = [pd.DataFrame({"update": t.update} | dict(t.measures[name].columns())) for t in self.taken]
            if frames:
                yield name, pa.Table.from_pandas(pd.concat(frames), preserve_index=False)

    def _scalars(self, taken: Taken) -> dict[str, float]:
        """Of all measures, and what the verdict asks for: the flow at the horizon."""
        scalars = {key: value for measured in taken.measures.values() for key, value in measured.scalars().items()}
        flow = taken.measures.get("flow")
        if isinstance(flow, Flow) and flow.lags >= self.horizon:
            with np.errstate(all="ignore"):
                scalars["flow/at_horizon"] = float(np.exp(flow.memory.log_ratio(self.horizon)))
        return scalars

    def frozen(self, device: torch.device) -> Batch:
        """The batch all measures are taken on."""
        if self._batch is None:
            wanted = self._plans["flow"].max_lag if "flow" in self._plans else math.inf
            found: Batch | None = None
            for batch in itertools.islice(self._batches, SEARCHED):
                if found is None or reachable(batch) > reachable(found):
                    found = batch
                if reachable(found) >= wanted:
                    break
            assert found is not None
            self._batch = Batch(*(None if part is None else part.to(device) for part in found))  # type: ignore[arg-type]
        return self._batch
