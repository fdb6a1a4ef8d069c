r"""Gradient flow: how much of the gradient of one step's loss is left k steps before it, layer by layer.

    phi_k^l = mean over samples of || d loss_s / d x_{s-k}^l ||_2,   lag k = 0..K,

the loss taken at ONE position s, x^l being the state of layer l, such as (h) or (h, c); a sample is one position of
one sequence. The derivative counts every path, as BPTT does: from c to the h of the same step, up the layers, and
along time; so at lag 0 every layer has one. By the chain rule it is a product of k Jacobians, so it shrinks or grows
exponentially with the lag (Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, eq. 5). A
loss summed over later steps would hide the lag: that is why s is one position. In a bidirectional model this is the
core that reads from the first step on; the other does not read its states.

Activations: loss per unit of state; rates in nats a step.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.losses import Loss
from study.models import Core, RecurrentModel, State
from study.models.stepping import evaluating, frozen
from study.probes.decay import FROM, REACHED, half_life
from study.probes.path import Segment, backpropagate, unroll
from study.probes.result import ProbeResult
from study.schema.probe import FlowConfig
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Profile:
    """Norms by lag, of one layer or of several jointly, and what follows from them.

    Attributes:
        log_norms: in nats; -inf where a gradient is exactly zero, inf or NaN where it is not finite.
    """

    log_norms: Float[np.ndarray, "lags samples"]

    @cached_property
    def log_phi(self) -> Float[np.ndarray, " lags"]:
        """The logarithm of phi_k, the mean of the norms (not of their logs)."""
        return _log_sum(self.log_norms) - math.log(self.log_norms.shape[1])

    @property
    def horizon(self) -> int:
        """The effective horizon, in steps; the largest lag measured where the gradient reaches that far."""
        return int(np.flatnonzero(self.log_phi >= self.log_phi[0] + math.log(REACHED)).max(initial=0))

    def log_ratio(self, lag: int) -> float:
        """log(phi_lag / phi_0): how much of the gradient is left `lag` steps back, in nats."""
        with np.errstate(invalid="ignore"):
            return float(self.log_phi[lag] - self.log_phi[0])

    def log_ratio_error(self, lag: int) -> float:
        """Standard error of `log_ratio` over samples, by the delta method; NaN for one sample, or a zero gradient."""
        if np.isneginf(self.log_phi[[lag, 0]]).any():
            return math.nan
        shares = np.exp(self.log_norms[[lag, 0]] - self.log_phi[[lag, 0], None])
        return _standard_error(shares[0] - shares[1])

    @property
    def decay(self) -> float:
        """The slope beta of the mean log norm against the lag, nats a step.

        The mean of the logs, because the log of the mean is biased up (Jensen). Samples whose gradient is exactly
        zero at a fitted lag are left out; -inf if that leaves none.
        """
        slopes = self._slopes()
        return float(slopes.mean()) if len(slopes) else -math.inf

    @property
    def decay_error(self) -> float:
        """Standard error of `decay` over samples (lags are not independent points); NaN for a single sample."""
        return _standard_error(self._slopes())

    @property
    def half_life(self) -> float:
        """Steps in which the gradient halves; see `half_life`."""
        return half_life(self.decay)

    def _slopes(self) -> Float[np.ndarray, " samples"]:
        """The least-squares slope of every sample; their mean is the slope of the mean."""
        last = len(self.log_norms) - 1
        lags = np.arange(min(FROM, last // 2), last + 1)
        fitted = self.log_norms[lags][:, ~np.isneginf(self.log_norms[lags]).any(0)]
        centred = lags - lags.mean()
        with np.errstate(invalid="ignore"):
            return centred @ fitted / (centred @ centred)


@dataclass(frozen=True)
class Flow(ProbeResult):
    """Gradient norms by lag, layer, part of the state and sample.

    Attributes:
        log_norms: log || d loss_s / d (part of x_{s-k}^l) ||, in nats.
        parts: names of the parts of the state.
        memory_part: the one that carries the past, see `study.models.Core`.
    """

    log_norms: Float[np.ndarray, "lags layers parts samples"]
    parts: list[str]
    memory_part: str

    @cached_property
    def joint(self) -> Profile:
        """All layers and parts: the norm of all their gradients together."""
        lags, layers, parts, samples = self.log_norms.shape
        return Profile(_joint_norm(self.log_norms.reshape(lags, layers * parts, samples)))

    @cached_property
    def memory(self) -> Profile:
        """The part of the state that carries the past, in all layers together.

        An LSTM's h at lag 0 is read by the loss itself; what it has to carry through time is c, which need not lose
        anything on the way (Hochreiter & Schmidhuber 1997). So c is compared with c.
        """
        return Profile(_joint_norm(self.log_norms[:, :, self.parts.index(self.memory_part)]))

    def layer(self, layer: int) -> Profile:
        """One layer, its parts together."""
        return Profile(_joint_norm(self.log_norms[:, layer]))

    @property
    def nonfinite(self) -> list[int]:
        """The lags at which some gradient is inf or NaN."""
        return [int(lag) for lag in np.flatnonzero((~(self.log_norms < np.inf)).any((1, 2, 3)))]

    @property
    def lags(self) -> int:
        """The largest lag, K."""
        return len(self.log_norms) - 1

    @classmethod
    def measure(cls, plan: FlowConfig, bptt: TruncatedBPTT, batch: Batch) -> "Flow":
        """See `ProbeResult`."""
        return gradient_flow(bptt.model, bptt.loss, batch, plan.max_lag, plan.samples)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; those of the memory."""
        memory = self.memory
        return {"flow/decay": memory.decay, "flow/half_life": memory.half_life, "flow/horizon": float(memory.horizon)}

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every lag of the memory, of all together, of every layer and of its parts."""
        profiles = {"memory": self.memory, "joint": self.joint} | self._layers()
        fits = {name: [getattr(p, name) for p in profiles.values()] for name in ("decay", "decay_error", "horizon")}
        return {
            "of": np.repeat(list(profiles), self.lags + 1),
            "lag": np.tile(np.arange(self.lags + 1), len(profiles)),
            "log_phi": np.concatenate([profile.log_phi for profile in profiles.values()]),
            "mean_log_norm": np.concatenate([profile.log_norms.mean(1) for profile in profiles.values()]),
        } | {name: np.repeat(values, self.lags + 1) for name, values in fits.items()}

    def _layers(self) -> dict[str, Profile]:
        """Every layer by its number and, where its state has several parts, each of them: `0`, `0.h`, `0.c`, ..."""
        profiles = {}
        for layer, by_part in enumerate(self.log_norms.swapaxes(0, 1)):
            profiles[str(layer)] = self.layer(layer)
            if len(self.parts) > 1:
                profiles |= {f"{layer}.{name}": Profile(by_part[:, i]) for i, name in enumerate(self.parts)}
        return profiles

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Flow":
        """See `ProbeResult`; checkpoints older than the names of parts are of cores whose state is h, or h and c."""
        names = ["h", "c"][: state["log_norms"].shape[2]]
        return cls(state["log_norms"].numpy(), state.get("parts", names), state.get("memory_part", names[-1]))


def gradient_flow(model: RecurrentModel, loss: Loss, batch: Batch, max_lag: int, samples: int) -> Flow:
    """Measure the flow on one batch; parameters, their gradients and the random state stay as they are.

    Args:
        model: measured without dropout, whatever its mode.
        loss: taken at single positions, undivided.
        batch: sequences from their initial state on.
        max_lag: K, if at least half of the sequences are longer than that; else the length of most of them.
        samples: least number of samples to pool, if the batch has so many: all its sequences, each at as many
            positions as that takes, evenly spaced among those K steps or more from the start.
    """
    lags, core = min(max_lag, reachable(batch)), model.core
    with evaluating(model), frozen(model):
        windows = _windows(model, batch, _positions(batch, lags, samples), lags)
        segments = unroll(core, windows.encoded, windows.entry)
        return flow_from_the_end(core, segments, _own_gradient(model, loss, windows, segments[-1].outputs[-1]))


def flow_from_the_end(core: Core, segments: Sequence[Segment], own: Float[Tensor, "one samples hidden"]) -> Flow:
    """The flow of a gradient that enters a core at its last step alone.

    Args:
        core: that was stepped.
        segments: all steps, see `study.probes.path.unroll`.
        own: the gradient of the loss with respect to what leaves the core at the last step.
    """
    steps = sum(segment.steps for segment in segments)
    log_norms = backpropagate(segments, torch.cat([own.new_zeros(steps - 1, *own.shape[1:]), own])).flip(0)
    shape = steps, core.num_layers, len(core.state_parts), log_norms.shape[-1]
    return Flow(log_norms.view(shape).cpu().numpy(), list(core.state_parts), core.memory)


def reachable(batch: Batch) -> int:
    """The largest lag for which half of the sequences of a batch are long enough."""
    return int(batch.lengths.median()) - 1


def _positions(batch: Batch, lags: int, samples: int) -> list[int]:
    """Steps at which to take the loss: `lags` or more from the start, enough for `samples`, always the last one."""
    late = batch.counting[batch.counting >= lags]
    wanted = math.ceil(samples / batch.targets.shape[1])
    return [int(late[i]) for i in np.unique(np.linspace(len(late) - 1, 0, wanted).round().astype(int))]


@dataclass(frozen=True)
class _Windows:
    """All positions of all sequences side by side, as one batch of samples, each ending where its loss is taken."""

    encoded: Float[Tensor, "time samples features"]
    entry: State
    last: Batch
    ahead: Float[Tensor, "one samples hidden"] | None


@torch.no_grad()
def _windows(model: RecurrentModel, batch: Batch, positions: list[int], lags: int) -> _Windows:
    """The last `lags` + 1 steps up to every position, and the states before them."""
    encoded = model.encode(batch.inputs)
    entries = entering(model, encoded, [position - lags for position in positions])
    entry = tuple(torch.cat(parts, 1) for parts in zip(*entries, strict=True))
    stretches = torch.cat([encoded[p - lags : p + 1] for p in positions], 1)
    last = batch.map(lambda tensor: torch.cat([tensor[p : p + 1] for p in positions], 1))
    whole = model.ahead(encoded, batch.mask)
    ahead = None if whole is None else torch.cat([whole[p : p + 1] for p in positions], 1)
    if last.mask is None:
        return _Windows(stretches, entry, last, ahead)
    # A sequence that has ended, or is not asked, has no loss at a position: it is no sample there.
    real = last.mask[0]
    kept = Batch(last.inputs[:, real], last.targets[:, real])
    ahead = None if ahead is None else ahead[:, real]
    return _Windows(stretches[:, real], tuple(part[:, real] for part in entry), kept, ahead)


@torch.no_grad()
def entering(model: RecurrentModel, encoded: Float[Tensor, "time batch features"], steps: Sequence[int]) -> list[State]:
    """The states before some steps, given in ascending order, in one pass; before step 0 the initial state."""
    state: State | None = None
    states, at = [], 0
    for step in steps:
        if step > at:
            _, state = model.core(encoded[at:step], state)
        states.append(state or model.core.initial_state(encoded))
        at = step
    return states


def _own_gradient(
    model: RecurrentModel, loss: Loss, windows: _Windows, output: Float[Tensor, "samples hidden"]
) -> Float[Tensor, "one samples hidden"]:
    """The gradient of the loss of the last step with respect to what leaves the core there.

    Samples do not mix, so the gradient of the sum of their losses holds the gradient of each.
    """
    hidden = output.detach()[None].requires_grad_()
    total = loss.total(model.decode(hidden, windows.ahead), windows.last.targets, None)
    return torch.autograd.grad(total, hidden)[0]


def _joint_norm(log_norms: Float[np.ndarray, "lags parts samples"]) -> Float[np.ndarray, "lags samples"]:
    """The logarithm of the root of the sum of the squares of the parts."""
    return 0.5 * _log_sum(2 * log_norms)


def _log_sum(logs: Float[np.ndarray, "lags terms *rest"]) -> Float[np.ndarray, "lags *rest"]:
    """The logarithm of the sum over the second axis; NaN and inf stay what they are."""
    with np.errstate(invalid="ignore"):
        return np.logaddexp.reduce(logs, axis=1)


def _standard_error(values: np.ndarray) -> float:
    """Of the mean; NaN for fewer than two values."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
