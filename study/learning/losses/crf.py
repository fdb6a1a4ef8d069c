r"""Linear-chain conditional random field: the likelihood of a whole sequence of labels.

    log p(y_1..y_T | x) = s(y) - log sum_y' exp s(y')
    s(y) = start(y_1) + sum_t e_t(y_t) + sum_{t>1} A(y_{t-1}, y_t) + end(y_T)

(Lafferty, McCallum & Pereira 2001; on a recurrent network Lample et al. 2016, arXiv 1603.01360, section 2.2), emissions
e_t from the head; A, start and end learnt and the same at every step (`constants`). These begin at 0, where the loss is
cross-entropy. The chain runs over the steps that count, in their order; one step alone has start,
emission and end. Values are in nats; divided by the steps they are those of cross-entropy, a step.

The sum over y' is taken forward, step by step, in logarithms. Predictions are max-marginals: for every step and class
the best score of all sequences through it, as a softmax over classes. The largest is the class of the best sequence,
the one that Viterbi's algorithm finds; without transitions they are the softmax of cross-entropy.

The libraries that have it (pytorch-crf, 2019, the one used most) have had no release for years, keep A in the
loss, where optimizer, history and probes do not look for it, and ask that the first step counts; so it is stated here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from study.learning.losses.contract import Loss

Join = Callable[[Tensor, int], Tensor]
"""How the sequences that meet in a class are put together along a dimension: `logsumexp`, or `amax` for the best."""


class Scores(NamedTuple):
    """Of every step: of its class, of it as the first and as the last one, and of every pair (before, now)."""

    emissions: Float[Tensor, "time batch classes"]
    starts: Float[Tensor, "time batch classes"]
    ends: Float[Tensor, "time batch classes"]
    transitions: Float[Tensor, "time batch classes classes"]


class LinearChainCRF(Loss):
    """-log p(y | x) of every sequence, see above."""

    def outputs(self, size: int) -> int:
        """One emission a class."""
        return size

    def constants(self, size: int) -> int:
        """Start and end of every class, and the transitions, those from the first class first."""
        return 2 * size + size**2

    def total(
        self,
        outputs: Float[Tensor, "time batch outputs"],
        targets: Int[Tensor, "time batch"],
        mask: Bool[Tensor, "time batch"] | None,
    ) -> Tensor:
        """See `Loss`; a sequence in which no step counts adds nothing."""
        scores, mask = _split(outputs), torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
        last = _at(scores.ends, _places(mask)[-1])
        whole = (_forward(scores, mask, torch.logsumexp)[-1] + last).logsumexp(-1)
        surprise = whole - _score(scores, targets, mask)
        return torch.where(mask.any(0), surprise, 0.0).sum()

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Max-marginals, as probabilities: their largest is the class of the best sequence."""
        scores = _split(outputs)
        mask = torch.ones_like(outputs[..., 0], dtype=torch.bool) if mask is None else mask
        return (_forward(scores, mask, torch.amax) + _backward(scores, mask)).softmax(-1)

    def measures(self, outputs: Tensor, targets: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        """`chain_nats`: -log p of the whole sequence, a step: what `nats` is where steps are predicted one by one."""
        return {"chain_nats": self.total(outputs, targets, mask)}


def _split(outputs: Float[Tensor, "time batch outputs"]) -> Scores:
    classes = (math.isqrt(9 + 4 * outputs.shape[-1]) - 3) // 2  # outputs = classes^2 + 3 classes
    emissions, starts, ends, pairs = outputs.split([classes, classes, classes, classes**2], -1)
    return Scores(emissions, starts, ends, pairs.unflatten(-1, (classes, classes)))


def _follows(mask: Bool[Tensor, "time batch"]) -> Bool[Tensor, "time batch"]:
    """Whether an earlier step of the sequence counts."""
    return mask.cumsum(0) > mask.long()


def _places(mask: Bool[Tensor, "time batch"]) -> Int[Tensor, "time batch"]:
    """The latest step up to each one that counts, or 0."""
    return (mask * torch.arange(len(mask), device=mask.device)[:, None]).cummax(0).values


def _at(values: Float[Tensor, "time batch classes"], steps: Int[Tensor, " batch"]) -> Float[Tensor, "batch classes"]:
    """One step of every sequence."""
    return values[steps, torch.arange(values.shape[1], device=values.device)]


def _forward(scores: Scores, mask: Bool[Tensor, "time batch"], join: Join) -> Float[Tensor, "time batch classes"]:
    """For every class of every step, all sequences that end in it, joined; past a step that does not count it stays."""
    found, joined = [], torch.zeros_like(scores.emissions[0])
    for follows, counts, emission, start, _, pairs in zip(_follows(mask), mask, *scores, strict=True):
        entering = torch.where(follows[:, None], join(joined[:, :, None] + pairs, 1), start)
        joined = torch.where(counts[:, None], entering + emission, joined)
        found.append(joined)
    return torch.stack(found)


def _backward(scores: Scores, mask: Bool[Tensor, "time batch"]) -> Float[Tensor, "time batch classes"]:
    """For every class of every step, the best of what may follow it."""
    found, joined = [], torch.zeros_like(scores.emissions[0])
    steps = zip(_follows(mask.flip(0)), mask.flip(0), *(part.flip(0) for part in scores), strict=True)
    for ahead, counts, emission, _, end, pairs in steps:
        leaving = torch.where(ahead[:, None], joined, end)
        joined = torch.where(counts[:, None], torch.amax(pairs + (emission + leaving)[:, None, :], 2), joined)
        found.append(leaving)
    return torch.stack(found[::-1])


def _score(
    scores: Scores, targets: Int[Tensor, "time batch"], mask: Bool[Tensor, "time batch"]
) -> Float[Tensor, " batch"]:
    """s(y) of the sequences given."""
    places, chosen = _places(mask), targets[..., None]
    before = targets.gather(0, torch.cat([places[:1] * 0, places[:-1]]))
    pairs = scores.transitions.flatten(-2).gather(-1, (before * scores.emissions.shape[-1] + targets)[..., None])
    entering = torch.where(_follows(mask)[..., None], pairs, scores.starts.gather(-1, chosen))
    steps = (entering + scores.emissions.gather(-1, chosen))[..., 0]
    end = _at(scores.ends, places[-1]).gather(-1, targets.gather(0, places[-1:]).T)[:, 0]
    return torch.where(mask, steps, 0.0).sum(0) + end
