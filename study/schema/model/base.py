"""What every architecture states."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Decides, Positive, Share, Strict
from study.schema.registry import Registry

MODELS = Registry("model")
LARGEST = 1 << 16
"""Units a layer; no network of more is built, or looked for."""
DEEPEST = 1000
"""Layers."""

Start = Literal["orthogonal", "uniform", "identity", "sparse"]
"""How square matrices may start, see `MatrixConfig`."""
Kernel = Literal["auto", "torch"]
"""What runs a layer in updates, see `KernelConfig`."""


class CoreConfig(Strict):
    """What every architecture states.

    `bidirectional`: a second network of the same kind and size reads from the last step to the first, and the outputs
    see both (Schuster & Paliwal 1997). `linear`: the state after a step is linear in the state before it.
    `matrix_is_jacobian_at_rest`: without input and state, the Jacobian of a step is the recurrent matrix itself: theory
    puts the border between vanishing and exploding where its spectral radius is 1.

    One of three keys decides the size, the others are null: `hidden_size`, units a layer; `match_parameters`, numbers
    to be trained, or `match_state`, numbers carried from step to step, each met within 2%.

    `residual`: what enters a layer is added to what leaves it for the layer above. `tied`: the head's weights are the
    embedding too (Press & Wolf 2017, arXiv 1608.05859). `recurrent_dropout`: share of h set to zero where it enters
    the next step, the same units at every step of a window (Gal & Ghahramani 2016, arXiv 1512.05287).
    """

    linear: ClassVar[bool] = False
    matrix_is_jacobian_at_rest: ClassVar[bool] = False
    of_the_model: ClassVar[frozenset[str]] = frozenset(
        {"name", "bidirectional", "match_parameters", "match_state", "residual", "tied", "recurrent_dropout"}
    )
    """Keys that the model around the core takes; all others are arguments of the core."""
    name: str
    hidden_size: Annotated[Count, Field(le=LARGEST)] | None
    match_parameters: Count | None
    match_state: Count | None
    num_layers: Annotated[Count, Field(le=DEEPEST)]
    bidirectional: bool
    residual: bool
    tied: bool
    dropout: Share
    recurrent_dropout: Share

    @model_validator(mode="after")
    def _one_key_decides_the_size(self) -> "CoreConfig":
        sizes = {key: getattr(self, key) for key in ("hidden_size", "match_parameters", "match_state")}
        given = [f"{key} = {value}" for key, value in sizes.items() if value is not None]
        if len(given) != 1:
            raise ValueError(
                f"{' and '.join(given) or 'no size'}: exactly one of {', '.join(sizes)} decides it, "
                "the others must be null (such as model.hidden_size=null)"
            )
        return self

    @model_validator(mode="after")
    def _layers_are_there_for_what_is_between_them(self) -> "CoreConfig":
        if self.residual and self.num_layers == 1:
            raise ValueError("residual = True adds what enters a layer to what enters the next: it needs 2 num_layers")
        return self

    @model_validator(mode="after")
    def _the_head_reads_one_core(self) -> "CoreConfig":
        if self.tied and self.bidirectional:
            raise ValueError("tied = True: the head of a bidirectional model reads two cores, so it is no embedding")
        return self

    def wider(self, hidden_size: int) -> str:
        """Overrides for twice the network.

        Args:
            hidden_size: units a layer, however they were decided.
        """
        for key in ("match_parameters", "match_state"):
            if (size := getattr(self, key)) is not None:
                return f"model.{key}={2 * size}"
        return f"model.hidden_size={2 * hidden_size}"

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

    def more_expressive(self) -> str:
        """Overrides for a network that follows states which this one cannot at every length; empty: none is known.

        A state that is linear in the one before it, with eigenvalues that are positive or that no input changes, cannot
        even count modulo 2 (Merrill et al. 2024, arXiv 2404.08819; Grazzi et al. 2024, arXiv 2411.12537).
        """
        return "model=lstm" if self.linear else ""


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


class KernelConfig(CoreConfig):
    """An architecture for which this project has a kernel.

    `kernel`: what runs a layer in updates. `auto`: on a CPU the kernel where it is faster, else torch; `torch`: its
    layer, or step by step where it has none. They round differently.
    """

    kernel: Annotated[Kernel, Decides.ROUNDING]
