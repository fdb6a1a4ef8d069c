"""`conf/probe`: which measures are taken beside the always-on gradient norms, and when."""

from typing import Annotated

from pydantic import Field

from study.schema.base import Count, Strict


class Flow(Strict):
    """Gradient flow by lag, up to `max_lag`, over at least `samples` positions of sequences."""

    max_lag: Annotated[int, Field(ge=2)]
    samples: Count


class Probe(Strict):
    """Measures of the gradient; null: not taken."""

    flow: Flow | None
