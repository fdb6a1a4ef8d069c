"""What a network predicted beside what came: forecasts over time, and labels against labels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from study.figures.style import AFTER, BEFORE, SEQUENTIAL, say_if_empty


def draw_forecast(axes: Axes, times: ArrayLike, true: ArrayLike, predicted: ArrayLike, unit: str) -> None:
    """Two lines over time: what came, and what was forecast to come.

    Args:
        axes: to draw into.
        times: at which the forecasts were made.
        true: what came, in the data's own unit.
        predicted: the same.
        unit: the name of the ordinate.
    """
    axes.plot(times, true, color=BEFORE, lw=1.2, label="what came")
    axes.plot(times, predicted, color=AFTER, lw=1.2, ls="--", label="forecast")
    say_if_empty(axes, [true, predicted])
    axes.set(xlabel="time of the forecast", ylabel=unit)
    axes.margins(x=0.01)


def draw_confusion(axes: Axes, labels: Sequence[str], counts: Int[np.ndarray, "true predicted"]) -> None:
    """Shares of the true label's steps as colour, and the numbers of steps.

    Args:
        axes: to draw into.
        labels: of the rows and of the columns.
        counts: of the steps with a true label (row) and a predicted one (column).
    """
    shares: Float[np.ndarray, "true predicted"] = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    size = max(4.0, min(8.0, 110 / len(labels)))
    for row, column in np.argwhere(counts):
        ink = "black" if shares[row, column] > 0.5 else "white"
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)
    places = np.arange(len(labels))
    axes.set_xticks(places, labels, rotation=90 if len(labels) > 6 else 0)
    axes.set_yticks(places, labels)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(visible=False)
