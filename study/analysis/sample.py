"""A text that a trained network continues from a prompt, by its most probable tokens and by tokens that are drawn."""

import torch
from jaxtyping import Int
from torch import Tensor

from study.learning.losses import Loss
from study.models import RecurrentModel
from study.tasks import Task
from study.training.module import RecurrentModule

FILE = "sample.txt"
"""Where a run on a text keeps it, among its artifacts."""
PROMPT, CONTINUED, SEED = 40, 100, 0
"""Tokens of the test part that it starts with, tokens that follow, and the seed they are drawn with."""


def sample(module: RecurrentModule) -> str | None:
    """The prompt and what follows; None where tokens are no text, or the network gives no probabilities any more."""
    task, model = module.task, module.model
    learnt = task.preprocessing
    if learnt.text([0]) is None or model.reverse is not None:
        return None
    prompt = _prompt(task)
    found = continued(model.eval(), module.loss, prompt.to(next(model.parameters()).device), CONTINUED)
    if found is None:
        return None
    greedy, drawn = (learnt.text(found[:, column].tolist()) for column in (0, 1))
    return (
        f"The first {len(prompt)} tokens of the test part, continued by {CONTINUED}, with the run's last weights.\n\n"
        f"--- prompt\n{learnt.text(prompt[:, 0].tolist())}\n\n--- the most probable token every time\n{greedy}\n\n"
        f"--- drawn by their probabilities (temperature 1, seed {SEED})\n{drawn}\n"
    )


@torch.no_grad()
def continued(
    model: RecurrentModel, loss: Loss, prompt: Int[Tensor, "time 2"], steps: int
) -> Int[Tensor, "steps 2"] | None:
    """What follows a prompt: in the first column always the most probable token, in the second one that is drawn."""
    draws, following = torch.Generator().manual_seed(SEED), []
    entering, state = prompt, None
    for _ in range(steps):
        outputs, state = model(entering, state)
        shares = loss.predict(outputs[-1:])[0].cpu()
        if not shares.isfinite().all():
            return None
        both = torch.stack([shares[0].argmax(), torch.multinomial(shares[1], 1, generator=draws)[0]])
        following.append(both)
        entering = both[None].to(prompt.device)
    return torch.stack(following)


def _prompt(task: Task) -> Int[Tensor, "time 2"]:
    """The first tokens of the test part, twice."""
    return next(task.batches("test").epoch(0)).inputs[:PROMPT, :1].expand(-1, 2).contiguous()
