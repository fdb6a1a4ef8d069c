"""From a configuration to what trains by it."""

from torch.optim import Optimizer

from study.learning.bptt.truncated import TruncatedBPTT
from study.learning.clipping import Clip
from study.learning.losses import Loss
from study.learning.regularizers import Regularizer
from study.models import RecurrentModel
from study.schema.bptt import TRUNCATIONS, BPTTConfig
from study.tasks.contract import Batch


def build(
    config: BPTTConfig,
    model: RecurrentModel,
    loss: Loss,
    optimizer: Optimizer,
    clip: Clip,
    stream: int | None,
    seed: int,
    regularizer: Regularizer | None = None,
) -> TruncatedBPTT:
    """What trains by the truncation that a config names; its other keys are arguments of the constructor.

    Args:
        config: see `conf/bptt`.
        model: see `TruncatedBPTT`.
        loss: see `TruncatedBPTT`.
        optimizer: see `TruncatedBPTT`.
        clip: see `TruncatedBPTT`.
        stream: see `TruncatedBPTT`.
        seed: of a truncation that draws.
        regularizer: see `TruncatedBPTT`; one that does not act is none.
    """
    kind: type[TruncatedBPTT] = TRUNCATIONS.implementation(config.name)
    options = config.model_dump(exclude={"name"}) | ({"seed": seed} if kind.draws else {})
    bptt = kind(model, loss, optimizer, clip, **options, stream=stream)
    bptt.regularizer = regularizer if regularizer is not None and regularizer.acts else None
    return bptt


def records(config: BPTTConfig) -> tuple[str, ...]:
    """Names of the numbers that every update by this truncation notes, see `Update.records`."""
    kind: type[TruncatedBPTT] = TRUNCATIONS.implementation(config.name)
    return kind.records


def expected_updates(config: BPTTConfig, batch: Batch, stream: int | None) -> float:
    """How many updates a batch makes; the mean, where that is random."""
    kind: type[TruncatedBPTT] = TRUNCATIONS.implementation(config.name)
    return kind.expected_updates(batch, stream, **config.model_dump(exclude={"name"}))
