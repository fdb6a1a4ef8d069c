"""All probes of a run, measured on one frozen batch whenever they are due; results are kept by update.

Training is not disturbed: no probe draws from the training's random generators, writes to a gradient, a parameter or
the optimizer's state, or touches the state carried between windows. `study.testing.probes` holds these claims, ready
for the tests of a probe of your own.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from study.learning.bptt import TruncatedBPTT
from study.probes.flow import Flow, reachable
from study.probes.result import ProbeResult
from study.probes.schedule import NEVER, Schedule
from study.schema.probe import PROBES, ProbeConfig, ProbeOptions
from study.tasks.contract import Batch

SEARCHED = 100
"""Most batches searched for one that is long enough."""


class Taken(NamedTuple):
    """The results of all probes after one update, by name of the probe."""

    update: int
    measures: dict[str, ProbeResult]


class Probes:
    """Runs the probes that `conf/probe` names.

    Args:
        config: which probes, and when.
        batches: of the training split; the first that is long enough for every lag is frozen, or the longest seen.
        horizon: the lag in steps at which the task needs the past.

    Attributes:
        due: the update after which to measure next.
        taken: all results so far, oldest first.
    """

    def __init__(self, config: ProbeConfig, batches: Iterable[Batch], horizon: int):
        wanted = {name: plan for name in PROBES if (plan := getattr(config, name)) not in (None, False)}
        self._plans: dict[str, Any] = {
            name: plan.at(horizon) if isinstance(plan, ProbeOptions) else plan for name, plan in wanted.items()
        }
        self._schedule, self._batches, self.horizon = (
            Schedule(config.every, config.per_decade, config.start),
            batches,
            horizon,
        )
        self._batch: Batch | None = None
        self.due = self._schedule.first() if self._plans else NEVER
        self.taken: list[Taken] = []
        self._reported = 0

    @property
    def count(self) -> int:
        """How many probes run."""
        return len(self._plans)

    def measure(self, update: int, bptt: TruncatedBPTT) -> None:
        """Run all probes on the model as it is now, after `update` updates."""
        self.taken.append(Taken(update, self.beside(self._plans, bptt)))
        self.due = self._schedule.after(update)

    def beside(self, plans: Mapping[str, Any], bptt: TruncatedBPTT) -> dict[str, ProbeResult]:
        """Measure by other plans than those of the run, on the batch that all probes measure on; nothing is kept."""
        batch = self.frozen(next(bptt.model.parameters()).device)
        return {name: PROBES.implementation(name).measure(plan, bptt, batch) for name, plan in plans.items()}

    def finish(self, update: int, bptt: TruncatedBPTT) -> None:
        """Measure at the end of the run, unless that update has been measured already."""
        if self._plans and (not self.taken or self.taken[-1].update != update):
            self.measure(update, bptt)

    def state(self) -> list[tuple[int, dict[str, Any]]]:
        """All results, for a checkpoint: tensors and plain values."""
        return [(t.update, {name: m.state() for name, m in t.measures.items()}) for t in self.taken]

    def restore(self, state: list[tuple[int, dict[str, Any]]]) -> None:
        """Restore from a list returned by `state()`; `points` reports all of it again."""
        for update, measures in state:
            kinds = {name: PROBES.implementation(name).restored(kept) for name, kept in measures.items()}
            self.taken.append(Taken(update, kinds))
            self.due = self._schedule.after(update)

    def last(self, kind: type[Any]) -> Any:
        """The last result of a kind, such as `Flow`; None if that probe was not run."""
        found = [m for taken in self.taken[-1:] for m in taken.measures.values() if isinstance(m, kind)]
        return found[0] if found else None

    def points(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The scalars of every update that has not been reported yet."""
        for taken in self.taken[self._reported :]:
            yield taken.update, self._scalars(taken)
        self._reported = len(self.taken)

    @property
    def final(self) -> dict[str, float]:
        """The scalars of the last update measured."""
        return self._scalars(self.taken[-1]) if self.taken else {}

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Everything, one table a probe, with the update as first column."""
        for name in self._plans:
            frames = [pd.DataFrame({"update": t.update} | dict(t.measures[name].columns())) for t in self.taken]
            if frames:
                yield name, pa.Table.from_pandas(pd.concat(frames), preserve_index=False)

    def _scalars(self, taken: Taken) -> dict[str, float]:
        """The scalars of all probes, and what the verdict needs: the flow at the horizon."""
        scalars = {key: value for measured in taken.measures.values() for key, value in measured.scalars().items()}
        flow = taken.measures.get("flow")
        if isinstance(flow, Flow) and flow.lags >= self.horizon:
            with np.errstate(all="ignore"):
                scalars["flow/at_horizon"] = float(np.exp(flow.memory.log_ratio(self.horizon)))
        return scalars

    def frozen(self, device: torch.device) -> Batch:
        """The batch that all probes measure on, moved to `device`: after a fit the model lies elsewhere."""
        if self._batch is None:
            wanted = self._plans["flow"].max_lag if "flow" in self._plans else math.inf
            found: Batch | None = None
            for batch in itertools.islice(self._batches, SEARCHED):
                if found is None or reachable(batch) > reachable(found):
                    found = batch
                if reachable(found) >= wanted:
                    break
            assert found is not None
            self._batch = found
        return self._batch.to(device)
