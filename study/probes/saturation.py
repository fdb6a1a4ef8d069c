r"""Saturation: how much of a network sits where its squashing functions are flat, and passes no gradient.

Over all steps and units of a frozen batch: the share of gates below .1 or above .9, the share of |tanh| above .9
(there the slope is below .19), the share of relu units that never act; and the time scale of the gate that keeps the
old state, -1 / ln(mean of the gate), in steps. A saturated gate is no fault in itself: an LSTM remembers by a forget
gate near 1 (Karpathy, Johnson & Fei-Fei 2016, arXiv 1506.02078, section 4.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.models import Activations, Core, RecurrentModel, State
from study.probes.flow import zero_state
from study.probes.path import evaluating
from study.probes.result import ProbeResult
from study.tasks.contract import Batch

LOW, HIGH = 0.1, 0.9
"""A gate outside these, or a |tanh| above the second, is saturated."""


class Share(NamedTuple):
    """Of the units of one name in one layer.

    Attributes:
        kind: gate, tanh or relu.
        saturated: share of units and steps; of units, for relu (dead ones).
        time_scale: of a gate that keeps the old state, in steps; NaN for others.
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

    def of(self, kind: str) -> float:
        """Mean saturated share of a kind over layers; NaN where there is none."""
        found = [share.saturated for share in self.shares if share.kind == kind]
        return float(np.mean(found)) if found else np.nan

    @property
    def blocking(self) -> float:
        """The share of units that stop the gradient: saturated tanh, or dead relu.

        NaN for networks with a gate that keeps the old state: there the gradient goes past them.
        """
        gated = any(not np.isnan(share.time_scale) for share in self.shares)
        return np.nan if gated else self.of("tanh") if np.isnan(self.of("relu")) else self.of("relu")

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> "Saturation":
        """See `ProbeResult`."""
        return saturation(bptt.model, batch)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; of the layers' time scales the longest."""
        kinds = [kind for kind in ("gate", "tanh", "relu") if not np.isnan(self.of(kind))]
        scales = [share.time_scale for share in self.shares if not np.isnan(share.time_scale)]
        longest = {"saturation/time_scale": max(scales)} if scales else {}
        return {f"saturation/{kind}": self.of(kind) for kind in kinds} | longest

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every layer and name."""
        return {field: [getattr(share, field) for share in self.shares] for field in Share._fields}


def saturation(model: RecurrentModel, batch: Batch) -> Saturation:
    """Look at all steps of a batch's sequences, without dropout, from a zero state on."""
    real = torch.arange(len(batch.targets))[:, None] < batch.lengths.cpu()
    shares: list[Share] = []
    with evaluating(model), torch.no_grad():
        inputs = model.encode(batch.inputs)
        state = zero_state(model, inputs)
        for layer in range(model.core.num_layers):
            units, inputs = _run(model.core, layer, inputs, tuple(part[layer] for part in state))
            shares += _shares(layer, units, real.flatten().to(inputs.device))
    return Saturation(shares)


def _run(core: Core, layer: int, inputs: Tensor, state: State) -> tuple[Activations, Tensor]:
    """The activations of one layer at all steps, side by side as one batch; and its outputs, step by step."""
    states = [state]
    for entering in inputs:
        states.append(core.step(layer, entering, states[-1]))
    before = tuple(torch.cat(parts) for parts in zip(*states[:-1], strict=True))
    return core.activations(layer, inputs.flatten(0, 1), before), torch.stack([after[0] for after in states[1:]])


def _shares(layer: int, units: Activations, real: Tensor) -> Iterator[Share]:
    for kind, group in (("gate", units.gates), ("tanh", units.tanh), ("relu", units.relu)):
        for name, values in group.items():
            x = values[real]
            flat = {"gate": (x < LOW) | (x > HIGH), "tanh": x.abs() > HIGH, "relu": (x <= 0).all(0)}[kind]
            scale = (
                float(1 / x.double().mean().log().abs()) if name == units.retention_gate else np.nan
            )  # inf for a gate of 1
            yield Share(layer, name, kind, float(flat.double().mean()), scale)
