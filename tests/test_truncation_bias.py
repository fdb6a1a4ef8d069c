"""On the copying problem, what truncation bias tells of the truncation that learns, and what it does not."""

from collections.abc import Callable

import torch

from study.learning.bptt import TruncatedBPTT
from study.probes.gradients import gradient
from study.probes.truncation import Truncation, truncation_bias
from study.schema import Config
from study.tasks import Batch
from study.train import assemble

LAG = 4
"""Three symbols, a signal, the same three symbols."""


def trained(config: Config, k2: int, updates: int = 350) -> tuple[float, list[Truncation]]:
    """The loss after some updates by truncations that reach k2 - 1 steps back; the bias before and after them."""
    task, module = assemble(config)
    bptt = TruncatedBPTT(module.model, module.loss, module.configure_optimizers(), module.clip, 1, k2)
    batches, parameters = task.batches("train").epoch(0), list(module.model.parameters())
    frozen, biases = next(batches), []
    biases.append(truncation_bias(bptt, frozen, range(1, 7), 1))
    for _ in range(updates):
        flat = gradient(module.model, module.loss, next(batches), 1, k2).float()
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()
        bptt.clip([p.grad for p in parameters if p.grad is not None], parameters)
        bptt.optimizer.step()
    biases.append(truncation_bias(bptt, frozen, range(1, 7), 1))
    return loss(bptt, frozen), biases


@torch.no_grad()
def loss(bptt: TruncatedBPTT, batch: Batch) -> float:
    return float(bptt.loss.total(bptt.model(batch.inputs)[0], batch.targets, batch.mask) / batch.steps)


def test_a_truncation_one_step_short_of_the_lag_learns_far_later_and_its_bias_falls_at_the_lag(
    configure: Callable[..., Config],
) -> None:
    config = configure("experiment=truncation_bias")
    (short, (before, now)), (enough, _) = trained(config, LAG), trained(config, LAG + 1)
    assert short > 2 * enough
    assert before.error[1:].max() < 0.1  # at the start there is next to nothing to miss: the bias cannot tell
    assert now.error[:LAG].min() > 0.3  # where the past has come to matter, too short a truncation misses much
    assert now.error[LAG] < 0.6 * now.error[LAG - 1]
