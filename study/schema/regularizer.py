"""`conf/regularizer`: cures that add a penalty to the loss. Keys are the arguments of the regularizers."""

from typing import ClassVar, Literal

from study.schema.base import Count, Positive, Strict
from study.schema.registry import Registry

REGULARIZERS = Registry("regularizer")


class RegularizerConfig(Strict):
    """A penalty beside the loss.

    Attributes:
        one_direction: whether it follows the core that reads forwards alone.
        between_steps: whether it acts on gradients that flow from step to step.
    """

    one_direction: ClassVar[bool] = False
    between_steps: ClassVar[bool] = False
    name: str


@REGULARIZERS.member("study.learning.regularizers.none:NoRegularizer")
class NoRegularizerConfig(RegularizerConfig):
    """The loss alone."""

    name: Literal["none"]


@REGULARIZERS.member("study.learning.regularizers.omega:Omega")
class OmegaRegularizerConfig(RegularizerConfig):
    """Steps that change the norm of the gradient they carry back (Pascanu et al. 2013, arXiv 1211.5063)."""

    one_direction: ClassVar[bool] = True
    between_steps: ClassVar[bool] = True
    name: Literal["omega"]
    alpha: Positive


@REGULARIZERS.member("study.learning.regularizers.flossing:Flossing")
class FlossingConfig(RegularizerConfig):
    """Lyapunov exponents that are not near zero (Engelken 2023, arXiv 2312.17306)."""

    one_direction: ClassVar[bool] = True
    name: Literal["flossing"]
    alpha: Positive
    exponents: Count
    steps: Count
    sequences: Count
    every: Count
    until: Count


@REGULARIZERS.member("study.learning.regularizers.orthogonality:Orthogonality")
class OrthogonalityConfig(RegularizerConfig):
    """Recurrent matrices that are not orthogonal: ||W^T W - I||_F^2 (Vorontsov et al. 2017, arXiv 1702.00071)."""

    name: Literal["orthogonality"]
    alpha: Positive
