r"""What carries one gradient: which sequences of the batch, which lags, which layers, parameters and gates.

g being the gradient of an update as it is about to be clipped, all of these are shares of its square, which sum to 1:

    sequence b    <g_b, g> / |g|^2     g_b the gradient of the losses of one sequence; what a regularizer adds is left
    lag k         <G_k, g> / |g|^2     see `study.probes.lags`
    parameter p   |g_p|^2 / |g|^2      and of the rows of a stacked matrix, those of every gate

A share of a sequence or of a lag is negative where its part pulls against the whole: then others carry more than 1. A
fair share is 1 / (number of sequences): a batch whose sequences agree has it.

Sequences are taken apart along the graph of the training itself, with its dropout and whatever its clip policy does on
the way back: one more backward pass for each of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from study.learning.bptt import TruncatedBPTT
from study.learning.regularizers import Passage
from study.models import RecurrentModel
from study.models.stepping import evaluating
from study.probes.gradients import flat
from study.probes.lags import LagShares, shares_by_lag


class ParameterShare(NamedTuple):
    """The share of one parameter, or of the rows of one gate of it.

    Attributes:
        name: of the parameter.
        gate: whose rows these are; empty where the parameter is not stacked.
        share: of |g|^2.
    """

    name: str
    gate: str
    share: float


@dataclass(frozen=True)
class Shares:
    """What carries the gradient of one update.

    Attributes:
        norm: |g|, before clipping.
        sequences: of every sequence of the batch.
        norms: |g_b| / |g|, of every sequence.
        rest: what the regularizer has of the gradient, 0 without one.
        lags: see `LagShares`.
        likeness: cosine between the gradient that the lags are shares of, which knows no dropout, no regularizer and no
            random weights, and the one that was made.
        parameters: one for every parameter, or for every gate of a stacked one.
        lost: the first step of a window at which a sequence has an output that is not finite, by sequence.
    """

    norm: float
    sequences: Float[Tensor, " batch"]
    norms: Float[Tensor, " batch"]
    rest: float
    lags: LagShares
    likeness: float
    parameters: list[ParameterShare]
    lost: dict[int, int]


class Dissection:
    """Takes the next update of a trainer apart while it is made: a `Witness`.

    Args:
        bptt: what trains; `witness` of it is set for the one update.

    Attributes:
        shares: once the update is made.
        passages: the windows that it learns from.
        before: their loss before its step, see `without_dropout`.
    """

    shares: Shares
    before: float

    def __init__(self, bptt: TruncatedBPTT):
        self._bptt = bptt
        self._parameters = [p for p in bptt.model.parameters() if p.requires_grad]
        self._by_sequence: Float[Tensor, "batch parameters"] | None = None
        self.passages: list[Passage] = []
        self._lost: dict[int, int] = {}
        bptt.witness = self

    def window(self, passage: Passage, outputs: Tensor, loss: Tensor) -> None:
        """See `Witness`."""
        kept = dict(vars(self._bptt.clip))  # a policy that watches would count these ways back with those of training
        found = torch.stack(list(self._sequences(outputs, loss)))
        vars(self._bptt.clip).update(kept)
        self._by_sequence = found if self._by_sequence is None else self._by_sequence + found
        self.passages.append(passage)
        for step, sequence in (~outputs.isfinite().all(-1)).nonzero().tolist():
            self._lost.setdefault(sequence, step + passage.first)

    def _sequences(self, outputs: Float[Tensor, "time batch outputs"], loss: Tensor) -> Iterator[Tensor]:
        """The gradient of every sequence, end to end."""
        slopes = torch.autograd.grad(loss, outputs, retain_graph=True)[0]
        for own in torch.eye(outputs.shape[1], dtype=torch.bool, device=outputs.device):
            given = torch.where(own[:, None], slopes, 0.0)
            parts = torch.autograd.grad(
                outputs, self._parameters, given, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            yield torch.cat([part.flatten() for part in parts])

    def gradient(self, gradients: list[Tensor]) -> None:
        """See `Witness`."""
        self._bptt.witness = None
        self.before = without_dropout(self._bptt, self.passages)
        assert self._by_sequence is not None
        divisor, g = self._bptt.loss.divisor, flat(gradients)
        whole, products, norms = g.norm(), [], []
        for part in self._by_sequence:  # in float64 one by one
            products.append(part.double() @ g / divisor)
            norms.append(part.double().norm() / divisor)
        sequences = torch.stack(products).cpu() / whole.cpu() ** 2
        lags = shares_by_lag(self._bptt.model, self._bptt.loss, self.passages)
        self.shares = Shares(
            norm=float(whole),
            sequences=sequences,
            norms=torch.stack(norms).cpu() / whole.cpu(),
            rest=float(1 - sequences.sum()) if self._bptt.regularizer is not None else 0.0,
            lags=lags,
            likeness=float(torch.cosine_similarity(lags.gradient, g.cpu(), dim=0, eps=0.0)),
            parameters=list(by_parameter(self._bptt.model, gradients)),
            lost=self._lost,
        )


def without_dropout(bptt: TruncatedBPTT, passages: Sequence[Passage]) -> float:
    """The loss of all steps that count in some windows, without dropout, by the weights as they are."""
    steps, total = 0, 0.0
    with evaluating(bptt.model), torch.no_grad():
        for passage in passages:
            counting = passage.steps.between(passage.first, len(passage.steps.targets))
            outputs, _ = bptt.model(passage.steps.inputs, passage.state, passage.steps.mask)
            total += float(bptt.loss.total(outputs[passage.first :], counting.targets, counting.mask))
            steps += counting.steps
    return total / float(bptt.loss.normaliser(passages[0].steps.targets.shape[1], steps))


def by_parameter(model: RecurrentModel, gradients: list[Tensor]) -> Iterator[ParameterShare]:
    """The share of every parameter in the square of a gradient; of stacked ones that of every gate."""
    whole = flat(gradients).square().sum()
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    for name, gradient in zip(names, gradients, strict=True):
        gates = stacked(model, name, gradient)
        parts = gradient.double().chunk(len(gates)) if gates else [gradient.double()]
        for gate, part in zip(gates or ("",), parts, strict=True):
            yield ParameterShare(name, gate, float(part.square().sum() / whole))


def stacked(model: RecurrentModel, name: str, parameter: Tensor) -> tuple[str, ...]:
    """Names of the gates whose rows lie one under another in a parameter of a core; () where they do not."""
    child = name.split(".", maxsplit=1)[0]
    core: nn.Module | None = {"core": model.core, "reverse": model.reverse}.get(child)
    gates: tuple[str, ...] = getattr(core, "stacked", ())
    return gates if gates and len(parameter) == len(gates) * getattr(core, "hidden_size", 0) else ()
