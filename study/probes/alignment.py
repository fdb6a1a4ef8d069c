r"""Alignment: whether what a loss says through near steps and what it says through far ones agree.

    cosine = <g_near, g_far> / (||g_near|| ||g_far||),    g = g_near + g_far,

g being the gradient of the frozen batch's loss by full BPTT, g_near its terms of lags below `split`: what every loss
says about steps fewer than `split` before it. Above 0, truncation at `split` shortens the gradient, and a larger step
makes up for it; near 0, the far part asks for something else, which the near part cannot teach; below 0 the two pull
against each other. How much there is of the far part is in the norms.

Every loss has windows of its own, as in BPTT(split; 1): so it costs about `split` times the steps of its sequences.
"""

from dataclasses import dataclass
from typing import Any

import torch

from study.learning.bptt import TruncatedBPTT
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.probes.gradients import columns, gradient
from study.probes.result import ProbeResult
from study.schema.probe import AlignmentConfig
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Alignment(ProbeResult):
    """The cosine and both norms.

    Attributes:
        split: lags below it are near.
        cosine: NaN where one of the parts is zero, or the far one lost in the rounding of the whole.
        near: ||g_near||.
        far: ||g_far||.
    """

    split: int
    cosine: float
    near: float
    far: float

    @classmethod
    def measure(cls, plan: AlignmentConfig, bptt: TruncatedBPTT, batch: Batch) -> "Alignment":
        """See `ProbeResult`; without a split of its own and without a task, half of the longest sequence is near."""
        split = plan.split or max(1, batch.longest // 2)
        return alignment(bptt.model, bptt.loss, columns(batch, 0, plan.sequences), split)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`."""
        return {"alignment/cosine": self.cosine}

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; one row."""
        return {name: [getattr(self, name)] for name in ("split", "cosine", "near", "far")}


def alignment(model: RecurrentModel, loss: Loss, batch: Batch, split: int) -> Alignment:
    """Take the gradient apart at a lag, without dropout, from the initial state on."""
    near = gradient(model, loss, batch, 1, split)
    far = gradient(model, loss, batch) - near
    # A difference below the rounding of what it is taken from has no direction.
    rounding = 100 * torch.finfo(next(model.parameters()).dtype).eps * near.norm()
    cosine = torch.cosine_similarity(near, far, dim=0, eps=0.0) if far.norm() > rounding else torch.nan
    return Alignment(split, float(cosine), float(near.norm()), float(far.norm()))
