"""Truncations against exact gradients forwards in time, and against the closed form of a bound on the bias."""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch

from study.learning.bptt.adaptive import AdaptiveBPTT
from study.learning.bptt.artbp import ARTBP
from study.learning.clipping.none import NoClip
from study.probes.gradients import gradient
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import MSE, data, linear, random_network
from study.verify.rtrl import diagonal_rtrl_gradient, rtrl_gradient
from study.verify.spread import Listener

TIME = 6


class FollowedARTBP(ARTBP):
    """ARTBP whose cuts follow a given pattern, not a draw.

    Attributes:
        chance: the probability of the cuts so far.
    """

    chance: float

    def follow(self, pattern: Sequence[bool]) -> None:
        """Take the next cuts from a pattern: one bool for every place where a window may end."""
        self._pattern, self.chance = iter(pattern), 1.0

    def _ends(self, since: int) -> bool:
        cut, probability = next(self._pattern), self._probability(since)
        self.chance *= probability if cut else 1 - probability
        return cut


def forwards() -> Iterator[Check]:
    """Real-time recurrent learning, which knows no window, against full BPTT."""
    for name in MODELS:
        network, batch = random_network(name, 1.5, 4), data(TIME, 2)
        yield _largest(
            "gradient forwards in time", name, rtrl_gradient(network, MSE, batch), gradient(network, MSE, batch)
        )
    network, batch = random_network("mingru", 1.0, 4), data(TIME, 2)  # its units do not mix
    found = diagonal_rtrl_gradient(network, MSE, batch)
    yield _largest("the same by a diagonal trace", "mingru", found, gradient(network, MSE, batch))


def random_cuts() -> Iterator[Check]:
    """The mean gradient of ARTBP over all cuts there are, each by its probability."""
    batch = data(TIME, 2)
    for alpha in (None, 3.0):
        network = random_network("lstm", 1.5, 4)
        rest = torch.optim.SGD(network.parameters(), 0.0)
        trainer = FollowedARTBP(network, MSE, rest, listener := Listener(), 3, alpha, 1, "sequence")
        mean = torch.zeros(sum(p.numel() for p in network.parameters()), dtype=torch.float64)
        for pattern in itertools.product([False, True], repeat=TIME - 1):
            trainer.follow(pattern)
            list(trainer.updates(batch))
            mean += trainer.chance * listener.heard.pop()
        yield _largest("mean gradient over all cuts", f"lstm, alpha {alpha}", rtrl_gradient(network, MSE, batch), mean)


def adapted() -> Iterator[Check]:
    """W = rho I: lag k has rho^k, so delta_K <= rho^K / (1 - 2 rho^(R + 1)), with R = 40 lags looked at."""
    for rho, delta in ((0.5, 0.9), (0.8, 0.5), (0.9, 0.1)):
        network = linear(rho * torch.eye(4, dtype=torch.float64))
        batch = data(60, 3)
        level = Batch(batch.inputs, network(batch.inputs)[0].detach() - 1.0)  # the same slope at every step
        rest = torch.optim.SGD(network.parameters(), 0.0)
        trainer = AdaptiveBPTT(network, MSE, rest, NoClip(), delta, 1, 40, 1, stream=60)
        list(trainer.updates(level))
        theory = math.ceil(math.log(delta * (1 - 2 * rho**41)) / math.log(rho))
        yield Check("k2 within delta", f"W = {rho} I, delta = {delta}", theory, float(trainer.k2 or 0), 0.5)


def _largest(measure: str, of: str, truth: torch.Tensor, found: torch.Tensor) -> Check:
    """All entries by their largest error, relative to the largest entry; the largest stands for all."""
    place, worst = int(truth.abs().argmax()), float((truth - found).abs().max() / truth.abs().max())
    return Check(measure, of, float(truth[place]), float(found[place]), 1e-10, worst)
