"""What every architecture states."""

from typing import ClassVar, Literal

from study.schema.base import Count, Positive, Share, Strict
from study.schema.registry import Registry

MODELS = Registry("model")

Start = Literal["orthogonal", "uniform", "identity", "sparse"]
"""How square matrices may start, see `MatrixConfig`."""


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
    def scale_at_start(self) -> float | None:
        """Of the recurrent matrices; None: there are none, or it is no option."""
        return None

    def longer_memory(self, horizon: int) -> str:
        """Overrides for a network whose gradients are more likely to last `horizon` steps."""
        return "model=lstm"


class MatrixConfig(CoreConfig):
    """An architecture whose state goes through square matrices W_hh from step to step.

    `recurrent_init` draws them, each gate's block alone: `orthogonal`, times `gain`; `uniform` in
    +-gain / sqrt(hidden_size), torch's own start; `identity`, times `gain`; `sparse`, 15 entries a row, scaled to a
    spectral radius of `gain`.
    """

    recurrent_init: Start
    gain: Positive

    @property
    def scale_at_start(self) -> float:
        """See `CoreConfig`."""
        return self.gain
