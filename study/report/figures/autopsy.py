"""The figure of an autopsy: the norms around the update, and what carried its gradient."""

import numpy as np
import pandas as pd

from study.analysis.autopsy import Autopsy, Examined
from study.figures.autopsy import draw_by_lag, draw_by_parameter, draw_by_sequence, draw_norms_around
from study.figures.style import legend_below, panels
from study.report.figures.picture import Picture


def carried(autopsy: Autopsy, history: pd.DataFrame) -> Picture:
    """Four panels.

    Args:
        autopsy: of one update.
        history: every update of the run, as recorded.
    """
    update, at = autopsy.chosen.update, {each.update: each for each in autopsy.updates}
    before, after = (history[f"grad_norm/{when}"].to_numpy(float) for when in ("total", "applied"))
    with panels(4, columns=2, sharey=False, height=2.9) as (figure, (around, sequences, lags, parameters)):
        draw_norms_around(around, before, after, update)
        draw_by_sequence(sequences, {n: each.shares.sequences.numpy() for n, each in at.items()}, update)
        draw_by_lag(lags, {n: each.shares.lags.shares.numpy() for n, each in at.items()}, update)
        earlier = at.get(update - 1)
        draw_by_parameter(parameters, *_named(at[update]), None if earlier is None else _named(earlier)[1])
        legend_below(figure)
    data = pd.concat(
        [table.assign(of=of) for of, table in (("sequence", autopsy.sequences), ("lag", autopsy.lags))]
        + [autopsy.parameters.assign(of="parameter")],
        ignore_index=True,
    )
    return Picture(
        "carried",
        f"What carried the gradient of update {update:,}",
        "Norms of the updates around it. Shares of the gradient, before clipping, by sequence, by how far back it "
        "flowed, and by parameter (of a matrix of several gates, the rows of each); of the update itself and, thinner "
        "or lighter, of the ones before and after it. A share below 0 pulls against the whole.",
        figure,
        data,
    )


def _named(examined: Examined) -> tuple[list[str], np.ndarray]:
    """Labels and shares of all parameters and gates."""
    table = examined.parameters()
    labels = [f"{row.parameter} {row.gate}".strip() for row in table.itertuples()]
    return labels, table["share"].to_numpy(float)
