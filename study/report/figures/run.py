"""Figures of a single run: its loss, and the spectra that explain its gradients."""

import math

import numpy as np
import pandas as pd

from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.figures.flow import draw_flow_by_lag, flow_curves
from study.figures.limits import limit
from study.figures.norms import bucket
from study.figures.spectra import draw_exponents, draw_weights
from study.figures.style import BEFORE, INK, Curve, draw_curves, integer_ticks, legend_below, panels
from study.probes.flow import FROM
from study.report.data.histories import load_flow, load_table
from study.report.figures.flow import FLOW, SHADED
from study.report.figures.picture import Picture, count_of
from study.tracking.reader import Logged


def loss_history(run: Logged) -> Picture | None:
    """The training loss of every update, and the validation loss."""
    losses = load_table(run, "gradients.parquet", ["update", "loss"])
    if losses is None or losses.empty:
        return None
    validated = pd.DataFrame([(step, value) for _, step, value in run.points(["loss/val"])], columns=["update", "loss"])
    below = bool((losses["loss"] < 0).any() or (validated["loss"] < 0).any())  # a likelihood may be
    updates, (low, middle, high) = bucket(losses["update"].to_numpy(), losses["loss"].to_numpy(float), not below)
    dotted = {"color": INK, "marker": "o", "ls": "--", "lw": 1}
    curves = [
        Curve(updates, middle, "training (median)", {"color": BEFORE}),
        Curve(validated["update"], validated["loss"], "validation", dotted),
    ]
    with panels(1, height=3.0) as (figure, (axes,)):
        axes.fill_between(updates, low, high, color=BEFORE, alpha=0.2, lw=0)
        draw_curves(axes, curves)
        axes.set(xlabel="update", ylabel="loss", yscale="linear" if below else "log")
        limit(axes, np.concatenate([low, high]), validated["loss"], curves)
        integer_ticks(axes.xaxis)
        legend_below(figure)
    return Picture(
        "loss",
        "Loss",
        f"The loss that is minimised. Training: {count_of(len(losses), 'update')}, median over buckets of consecutive "
        f"ones, shaded from the smallest to the largest. Validation: {count_of(len(validated), 'point')}; a triangle "
        "marks where it leaves the panel, which is made for the training.",
        figure,
        pd.concat([losses.assign(split="train"), validated.assign(split="val")], ignore_index=True),
    )


def flow_by_lag(run: Logged, horizon: int | None) -> Picture | None:
    """The share of the gradient left by lag, one curve for each update it was measured at.

    Args:
        run: of one task.
        horizon: the lag at which the task needs the past.
    """
    data = load_flow(run)
    if data is None:
        return None
    profiles = [(int(str(update)), mine["log_share"].to_numpy(float)) for update, mine in data.groupby("update")]
    curves = flow_curves(profiles, _largest_exponent(run, profiles[-1][0]), FROM)
    with panels(1, height=3.4) as (figure, (axes,)):
        draw_flow_by_lag(axes, curves, horizon, (VANISHED, EXPLODED))
        legend_below(figure)
    return Picture(
        "flow-over-lag",
        "Gradient flow: how far back the loss of one step reaches",
        f"{FLOW} One line for each of {count_of(len(profiles), 'measurement')} during training. {SHADED} Dashed, if "
        "drawn: the decay that the largest Lyapunov exponent (nats a step) predicts for the last.",
        figure,
        data,
    )


def _largest_exponent(run: Logged, update: int) -> float:
    """The largest Lyapunov exponent after an update, nats a step; NaN where it was not measured."""
    data = load_table(run, "lyapunov.parquet", ["update", "exponent"])
    return math.nan if data is None else float(data.loc[data["update"] == update, "exponent"].max())


def lyapunov_spectrum(run: Logged) -> Picture | None:
    """Lyapunov exponents by their order; None where not more than one was measured."""
    data = load_table(run, "lyapunov.parquet")
    if data is None or data["order"].nunique() < 2:
        return None
    spectra = [(int(str(update)), mine["exponent"].to_numpy(float)) for update, mine in data.groupby("update")]
    last = data[data["update"] == data["update"].max()]
    with panels(1, height=3.0) as (figure, (axes,)):
        draw_exponents(axes, spectra, last["error"].to_numpy(float))
        legend_below(figure)
    return Picture(
        "lyapunov-spectrum",
        "Lyapunov spectrum",
        "Lyapunov exponents, largest first: mean rates at which nearby states separate (above 0) or converge, at each "
        "update they were measured at. Bars on the last: twice its standard error over sequences.",
        figure,
        data,
    )


def recurrent_weights(run: Logged) -> Picture | None:
    """Norms of the recurrent matrices over training; None where they were measured only once."""
    data = load_table(run, "weights.parquet")
    if data is None or data["update"].nunique() < 2:
        return None
    with panels(1, height=3.0) as (figure, (axes,)):
        draw_weights(axes, data)
        legend_below(figure)
    return Picture(
        "recurrent-weights",
        "Recurrent weights",
        "Spectral radius and largest singular value of every recurrent matrix, by layer and block (of LSTM and GRU: "
        "one for each gate), over training.",
        figure,
        data,
    )
