"""When policies act: a row for each, over updates, the darker the more often."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from study.figures.norms import BUCKETS
from study.figures.style import SEQUENTIAL, integer_ticks


def draw_acting(axes: Axes, acted: Mapping[str, Float[np.ndarray, " updates"]]) -> None:
    """Rows of shares, 0 (nothing drawn) to 1, each the mean over a bucket of consecutive updates.

    Args:
        axes: to draw into.
        acted: by the name of a policy, how much of every gradient it clips; NaN where that is not known.
    """
    length = len(next(iter(acted.values())))
    edges = np.linspace(0, length, min(BUCKETS, length) + 1).astype(int)
    rows = [[_mean(found[low:high] > 0) for low, high in pairwise(edges)] for found in acted.values()]
    shown = np.ma.masked_less_equal(np.array(rows), 0)
    axes.pcolormesh(
        edges + 0.5, np.arange(len(rows) + 1), shown, cmap=f"{SEQUENTIAL}_r", vmin=0, vmax=1, antialiased=False
    )
    axes.set_yticks(np.arange(len(rows)) + 0.5, list(acted))
    axes.grid(visible=False)
    axes.invert_yaxis()
    integer_ticks(axes.xaxis)
    axes.set(xlim=(0.5, length + 0.5), xlabel="update")


def _mean(hit: np.ndarray) -> float:
    return float(hit.mean()) if len(hit) else 0.0
