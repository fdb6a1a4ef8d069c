"""A run and its forks: one line up to the update at which they part, and one for each from there on."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.limits import spans_decades
from study.figures.norms import bucket
from study.figures.style import INK, Curve, draw_curves, draw_guide, legend_below, line_style, panels
from study.report.data.histories import load_table
from study.report.figures.picture import Picture, count_of
from study.tracking.reader import Logged

PARENT = "as it was"
COLUMNS = {"loss": "loss", "grad_norm/total": "2-norm of the gradient before clipping"}


def parted(parent: Logged, forks: Mapping[str, Logged], at: Sequence[int]) -> Picture | None:
    """Loss and gradient norm of a run and of its forks; None where no history can be read.

    Args:
        parent: the run that was continued.
        forks: by treatment.
        at: the update after which each of them went its own way.
    """
    runs = {PARENT: parent, **forks}
    loaded = {name: load_table(run, "gradients.parquet", ["update", *COLUMNS]) for name, run in runs.items()}
    known = {name: table for name, table in loaded.items() if table is not None and len(table)}
    if PARENT not in known or len(known) < 2:
        return None
    starts = {PARENT: 0, **dict(zip(forks, at, strict=True))}
    drawn = {name: table[table["update"] > starts[name]] for name, table in known.items()}
    with panels(2, columns=1, sharey=False) as (figure, both):
        for axes, (column, label) in zip(both, COLUMNS.items(), strict=True):
            _draw(axes, {name: table[["update", column]] for name, table in drawn.items()}, runs)
            for update in sorted(set(at)):
                draw_guide(axes, update, f"after update {update:,}", vertical=True)
            axes.set(xlabel="update", ylabel=label)
        legend_below(figure)
    return Picture(
        "forks",
        "The run, and what became of it under another treatment",
        f"Every line is one run: the run as it was, and {count_of(len(forks), 'fork')} of it, drawn from where it goes "
        "its own way; up to there it has the run's own updates, and after it the same data in the same order. Medians "
        "over buckets of consecutive updates; an ordinate is logarithmic where its values span more than a decade.",
        figure,
        pd.concat([table.assign(run=name) for name, table in drawn.items()], ignore_index=True),
    )


def _draw(axes: Axes, tables: Mapping[str, pd.DataFrame], runs: Mapping[str, Logged]) -> None:
    curves = []
    for index, (name, table) in enumerate(tables.items()):
        updates, values = table["update"].to_numpy(), table.iloc[:, 1].to_numpy(float)
        ends, (_, middle, _) = bucket(updates, values) if (values > 0).any() else (updates, (None, values, None))
        style = {"color": INK, "lw": 1.6} if name == PARENT else line_style(index - 1)
        curves.append(Curve(ends, middle, name, style, runs[name].run_id))
    draw_curves(axes, curves)
    if spans_decades(np.concatenate([table.iloc[:, 1].to_numpy(float) for table in tables.values()])):
        axes.set_yscale("log")
