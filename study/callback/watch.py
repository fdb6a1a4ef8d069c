"""When the flow through somebody else's recurrent layer is measured, and what was found."""

from typing import Any

from study.analysis.diagnosis.facts import Probed
from study.callback.calls import NotMeasured, listener
from study.callback.flow import LAGS, flow_of
from study.callback.layers import Recurrent, as_core, obstacle
from study.probes.flow import Flow
from study.probes.schedule import Schedule

PER_DECADE = 2
"""Measurements in every decade of updates: with those before the first and the last update 10 in 10,000."""


class FlowWatch:
    """Measures the flow in some updates: before their step, on their own batch, with their own loss.

    Args:
        found: name and layer; None: the network has none.
        horizon: see `GradientHistory`.
        updates: how many there will be, inf where nobody knows: the flow is measured in the last one too.

    Attributes:
        probed: what was measured, oldest first; `update` is the number of updates before.
        reason: why nothing, or not everything, could be measured; empty where all was.
    """

    def __init__(self, found: tuple[str, Recurrent] | None, horizon: int | None, updates: int | float):
        self.probed: list[Probed] = []
        self.reason = "no recurrent layer found"
        self._listener = None
        self._lags, self._last = max(LAGS, horizon or 0), updates - 1
        self._schedule = Schedule(None, PER_DECADE)
        self._due, self._update = self._schedule.first(), 0
        if found is not None:
            name, layer = found
            why = obstacle(layer)
            self.reason = f"{name}: {why}" if why else ""
            self._name = name
            if not why:
                self._core, self._listener = as_core(layer), listener(layer)

    def await_update(self, done: int) -> None:
        """Listen to the layer if the update after so many is to be measured."""
        self._update = done
        if self._listener is not None and not self._listener.listening and (done >= self._due or done == self._last):
            self._listener.start()

    def measure(self) -> None:
        """Measure the update that is about to be made, if it is to be."""
        if self._listener is None or not self._listener.listening:
            return
        try:
            flow = flow_of(self._core, self._listener.passage(), self._lags)
            self.probed.append(Probed(self._update, flow))
        except NotMeasured as why:
            self.reason = f"{self._name}: {why}"
        self._due = self._schedule.after(self._update)
        self.close()

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.stop()

    def state(self) -> list[tuple[int, dict[str, Any]]]:
        """What was measured, in tensors and plain values."""
        return [(one.update, one.flow.state()) for one in self.probed if one.flow is not None]

    def restore(self, state: list[tuple[int, dict[str, Any]]]) -> None:
        """Restore from what `state` returned."""
        self.probed = [Probed(update, Flow.restored(kept)) for update, kept in state]
        self._due = self._schedule.after(self.probed[-1].update) if self.probed else self._due
