"""Pictures of one run that a study has no room for: its loss, and the spectra behind its gradients."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.style import BEFORE, INK, Picture, legend_below, line_style, panels, render, styled
from study.report.data.histories import bucketed, read_table
from study.tracking.reader import Logged


def loss_history(run: Logged) -> Picture | None:
    """The training loss of every update, and the validations."""
    found = read_table(run, "gradients.parquet", ["update", "loss"])
    if found is None or found.empty:
        return None
    updates, envelope = bucketed(found["update"].to_numpy(), found["loss"].to_numpy(float))
    validated = pd.DataFrame([(step, value) for _, step, value in run.points(["loss/val"])], columns=["update", "loss"])
    figure, (axes,) = panels(1, height=3.0)
    with styled():
        axes.fill_between(updates, envelope[0], envelope[2], color=BEFORE, alpha=0.2, lw=0)
        axes.plot(updates, envelope[1], color=BEFORE, lw=1.2, label="training")
        axes.plot(validated["update"], validated["loss"], "o--", color=INK, ms=4, lw=1, label="validation")
        axes.set(xlabel="update", ylabel="loss", yscale="log")
        legend_below(figure, axes)
    return Picture(
        "loss",
        "Loss",
        f"The loss that is minimised, of {len(found)} updates: median over buckets of them, shaded from the smallest "
        f"to the largest; and of {len(validated)} validations.",
        render(figure),
        pd.concat([found.assign(split="train"), validated.assign(split="val")], ignore_index=True),
    )


def spectra(run: Logged) -> Picture | None:
    """Lyapunov exponents by their order, and the spectra of the recurrent matrices over training."""
    exponents, weights = read_table(run, "lyapunov.parquet"), read_table(run, "weights.parquet")
    drawn = []
    if exponents is not None and exponents["order"].nunique() > 1:
        drawn.append((_exponents, exponents))
    if weights is not None and weights["update"].nunique() > 1:
        drawn.append((_weights, weights))
    if not drawn:
        return None
    figure, grid = panels(len(drawn), height=3.2, sharey=False)
    with styled():
        for axes, (draw, data) in zip(grid, drawn, strict=True):
            draw(axes, data)
            axes.legend(loc="best", labelcolor=INK, fontsize=7)
    return Picture(
        "spectra",
        "Spectra",
        "Lyapunov exponents, largest first: mean rates at which nearby states part (above 0) or meet, bars: twice "
        "their standard error over sequences. Spectral radius and largest singular value of every recurrent matrix, by "
        "layer and block, over training. Shown where more than one was measured.",
        render(figure),
        pd.concat([data for _, data in drawn], ignore_index=True),
    )


def _exponents(axes: Axes, data: pd.DataFrame) -> None:
    """The first and the last spectrum measured."""
    for place, update in enumerate(sorted({data["update"].min(), data["update"].max()})):
        mine = data[data["update"] == update].replace([np.inf, -np.inf], np.nan)
        axes.errorbar(
            mine["order"], mine["exponent"], 2 * mine["error"], label=f"update {update}", lw=1, **line_style(place)
        )
    axes.axhline(0, color=INK, lw=1, ls=(0, (1, 1)))
    axes.set(title="Lyapunov spectrum", xlabel="order", ylabel="nats a step")


def _weights(axes: Axes, data: pd.DataFrame) -> None:
    """Both norms of every recurrent matrix."""
    matrices = list(data.groupby(["layer", "block"]))
    for place, ((layer, block), mine) in enumerate(matrices):
        name = f"layer {layer}, block {block}: " if len(matrices) > 1 else ""
        axes.plot(mine["update"], mine["spectral_radius"], label=f"{name}spectral radius", **line_style(2 * place))
        singular = mine["largest_singular_value"]
        axes.plot(mine["update"], singular, label=f"{name}largest singular value", **line_style(2 * place + 1))
    axes.set(title="recurrent matrices", xlabel="update")
    axes.set_xscale("symlog")
