r"""Saturation: how much of a network sits where its squashing functions are flat, and passes no gradient.

Over all steps and units of a frozen batch: the share of gates below .1 or above .9, the share of |tanh| above .9
(there the slope is below .19), the share of relu units that are zero at every step; and the time scale of the gate
that keeps the old memory, -1 / ln(mean of the gate), in steps. A saturated gate is no fault in itself: an LSTM
remembers by a forget gate near 1 (Karpathy, Johnson & Fei-Fei 2016, arXiv 1506.02078, section 4.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.models import Activations, Core, RecurrentModel, State
from study.models.stepping import evaluating
from study.probes.result import ProbeResult
from study.tasks.contract import Batch

LOW, HIGH = 0.1, 0.9
"""A gate outside these bounds, or a |tanh| above the second, is saturated."""


class Share(NamedTuple):
    """The units of one name in one layer.

    Attributes:
        kind: gate, tanh or relu.
        saturated: share of units and steps; for relu, share of dead units.
        time_scale: in steps, of the gate that keeps the old memory; NaN for others.
    """

    layer: int
    name: str
    kind: str
    saturated: float
    time_scale: float


@dataclass(frozen=True)
class Saturation(ProbeResult):
    """Shares by layer and kind of unit."""

    shares: list[Share]

    def mean_share(self, kind: str) -> float:
        """Mean saturated share of a kind over names and layers; NaN if there is none of that kind."""
        found = [share.saturated for share in self.shares if share.kind == kind]
        return float(np.mean(found)) if found else np.nan

    @property
    def blocking(self) -> float:
        """The share of units that stop the gradient: saturated tanh, or dead relu.

        NaN for networks with a gate that keeps the old memory: there the gradient goes past such units.
        """
        if any(not np.isnan(share.time_scale) for share in self.shares):
            return np.nan
        dead = self.mean_share("relu")
        return self.mean_share("tanh") if np.isnan(dead) else dead

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> "Saturation":
        """See `ProbeResult`."""
        return saturation(bptt.model, batch)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; the time scale is the longest of all layers."""
        kinds = [kind for kind in ("gate", "tanh", "relu") if not np.isnan(self.mean_share(kind))]
        scales = [share.time_scale for share in self.shares if not np.isnan(share.time_scale)]
        longest = {"saturation/time_scale": max(scales)} if scales else {}
        return {f"saturation/{kind}": self.mean_share(kind) for kind in kinds} | longest

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every layer and name."""
        return {field: [getattr(share, field) for share in self.shares] for field in Share._fields}


def saturation(model: RecurrentModel, batch: Batch) -> Saturation:
    """Count over all steps of a batch's sequences, without dropout, from the initial state on."""
    real = torch.arange(len(batch.targets))[:, None] < batch.lengths.cpu()
    shares: list[Share] = []
    with evaluating(model), torch.no_grad():
        inputs = model.encode(batch.inputs)
        state = model.core.initial_state(inputs)
        for layer in range(model.core.num_layers):
            units, inputs = _run(model.core, layer, inputs, tuple(part[layer] for part in state))
            shares += _shares(layer, units, real.flatten().to(inputs.device))
    return Saturation(shares)


def _run(core: Core, layer: int, inputs: Tensor, state: State) -> tuple[Activations, Tensor]:
    """The activations of one layer at all steps, side by side as one batch; and its outputs (time, batch, hidden)."""
    states = [state]
    for entering in inputs:
        states.append(core.step(layer, entering, states[-1]))
    before = tuple(torch.cat(parts) for parts in zip(*states[:-1], strict=True))
    outputs = torch.stack([after[0] for after in states[1:]])
    return core.activations(layer, inputs.flatten(0, 1), before), core.above(inputs, outputs)


def _shares(layer: int, units: Activations, real: Tensor) -> Iterator[Share]:
    """A row for every name, over the steps that are `real`: padding is no step."""
    for kind, group in (("gate", units.gates), ("tanh", units.tanh), ("relu", units.relu)):
        for name, values in group.items():
            x = values[real]
            flat = {"gate": (x < LOW) | (x > HIGH), "tanh": x.abs() > HIGH, "relu": (x <= 0).all(0)}[kind]
            scale = np.nan
            if name == units.retention_gate:
                scale = float(1 / x.double().mean().log().abs())  # inf for a gate of 1
            yield Share(layer, name, kind, float(flat.double().mean()), scale)
