"""Figures of what a run predicted on its test part, from the table that it keeps."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from study.analysis.predictions import TABLE
from study.figures.predictions import draw_confusion, draw_forecast
from study.figures.style import legend_below, panels
from study.report.data.histories import load_table
from study.report.figures.picture import Picture
from study.tracking.reader import Logged

STEPS = 200
"""Last steps of the test part that a forecast is drawn over."""
SERIES = 4
"""Most pairs of series and target that are drawn."""
LABELS = 20
"""Most labels of a confusion matrix: the most frequent ones, all others being one."""
OTHERS = "(others)"
LAST = "Made with the weights at the end of training, which the measures on test are of."


def predictions(run: Logged) -> Iterator[Picture]:
    """Forecasts beside what came, or labels against labels; nothing of a run that has no such table."""
    table = load_table(run, TABLE)
    if table is None or table.empty or "predicted" not in table:
        return
    if "target" in table:
        yield forecast(table)
    elif not pd.api.types.is_float_dtype(table["true"]):
        yield confusion(table)


def forecast(table: pd.DataFrame) -> Picture:
    """The last steps of every series and target, a panel each."""
    by_pair = table.groupby(["series", "target"], observed=True)
    pairs = [(series, target, mine.tail(STEPS)) for (series, target), mine in by_pair]
    shown = pairs[:SERIES]
    with panels(len(shown), columns=1, height=2.6, sharey=False) as (figure, axes):
        for each, (series, target, mine) in zip(axes, shown, strict=True):
            draw_forecast(each, mine["time"], mine["true"], mine["predicted"], str(target))
            each.set_title(f"{series}: {target}")
        legend_below(figure)
    left = f" {len(pairs) - len(shown)} more are in {TABLE}." if len(pairs) > len(shown) else ""
    return Picture(
        "forecast",
        "Forecast and what came",
        f"The last {max(len(mine) for *_, mine in shown)} steps of the test part, in the data's own units; every "
        f"forecast, and what came, stands at the time it was made.{left} {LAST}",
        figure,
        pd.concat([mine for *_, mine in shown], ignore_index=True),
    )


def confusion(table: pd.DataFrame) -> Picture:
    """How often every label was predicted for every true one."""
    both = table[["true", "predicted"]].astype(str)
    frequent = both["true"].value_counts().index[:LABELS]
    rest = set(both["true"]) | set(both["predicted"]) > {*frequent}
    both = both.where(both.isin([*frequent]), OTHERS)
    labels = [*sorted(frequent), *([OTHERS] if rest else [])]
    counts = pd.crosstab(both["true"], both["predicted"]).reindex(index=labels, columns=labels, fill_value=0)
    with panels(1, height=min(7.0, 1.6 + 0.28 * len(labels))) as (figure, (axes,)):
        draw_confusion(axes, labels, counts.to_numpy(np.int64))
    more = f", the {LABELS} most frequent ones" if OTHERS in labels else ""
    return Picture(
        "confusion",
        "True and predicted labels",
        f"Numbers of steps of the test part ({len(table):,}); colour: the share of the true label's, so that rows sum "
        f"to one. Labels are sorted{more}. {LAST}",
        figure,
        counts.reset_index(),
    )
