"""What every architecture states."""

from typing import ClassVar, Literal

from study.schema.base import Count, Positive, Share, Strict
from study.schema.registry import Registry

MODELS = Registry("model")


class CoreConfig(Strict):
    """What every architecture states.

    `bidirectional`: a second network of the same kind and size reads from the last step to the first, and the outputs
    see both (Schuster & Paliwal 1997). `linear`: the state after a step is linear in the state before it.
    """

    linear: ClassVar[bool] = False
    of_the_model: ClassVar[frozenset[str]] = frozenset({"name", "bidirectional"})
    """Keys that the model around the core takes; all others are arguments of the core."""
    name: str
    hidden_size: Count
    num_layers: Count
    bidirectional: bool
    dropout: Share

    @property
    def title(self) -> str:
        """What runs are called after."""
        return self.name

    @property
    def scale_at_start(self) -> float | None:
        """Of the recurrent matrices; None: there are none, or it is no option."""
        return None

    def longer_memory(self, horizon: int) -> str:
        """Overrides for a network whose gradients are more likely to last `horizon` steps."""
        return "model=lstm"


class MatrixConfig(CoreConfig):
    """An architecture whose state goes through square matrices W_hh from step to step.

    `recurrent_init` draws them: `orthogonal` (each gate's block, times `gain`), or `uniform` in
    +-gain / sqrt(hidden_size), torch's own start.
    """

    recurrent_init: Literal["orthogonal", "uniform"]
    gain: Positive

    @property
    def scale_at_start(self) -> float:
        """See `CoreConfig`."""
        return self.gain
