"""Figures of a single run: its loss, how its gradients reach back, and the spectra that explain them."""

import math

import numpy as np
import pandas as pd

from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.figures.flow import draw_decay, draw_flow_by_lag, flow_curves
from study.figures.limits import limit
from study.figures.norms import bucket, draw_norms_by_step
from study.figures.spectra import draw_exponents, draw_weights
from study.figures.style import (
    BEFORE,
    INK,
    Curve,
    curves_by_update,
    draw_curves,
    integer_ticks,
    legend_below,
    panels,
)
from study.figures.truncation import BOUND, draw_truncation_cosine, draw_truncation_error
from study.probes.decay import FROM
from study.report.data.histories import load_flow, load_table, load_truncation
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


def decay_over_training(run: Logged) -> Picture | None:
    """The rate of decay of the flow beside the largest Lyapunov exponent; None where either was measured only once."""
    flow = load_table(run, "flow.parquet", ["update", "of", "decay", "decay_error"])
    exponents = load_table(run, "lyapunov.parquet", ["update", "exponent"])
    if flow is None or exponents is None:
        return None
    decays = flow.loc[flow["of"] == "joint", ["update", "decay", "decay_error"]].drop_duplicates("update")
    largest = exponents.groupby("update", as_index=False)["exponent"].max()
    if min(len(decays), len(largest)) < 2:
        return None
    with panels(1, height=3.0) as (figure, (axes,)):
        draw_decay(axes, decays.to_numpy(float), largest.to_numpy(float))
        legend_below(figure)
    return Picture(
        "decay-over-training",
        "Rate of decay of the gradient, measured and predicted",
        "Slope of the logarithm of the gradient norm against the lag, all parts of the state together, and the largest "
        f"Lyapunov exponent, which should predict it, at {count_of(len(decays), 'measurement')}. Bars: twice the "
        "standard error of the slope over samples. Below 0 the gradient shrinks on its way back.",
        figure,
        decays.merge(largest, on="update", how="outer"),
    )


def gradient_by_time(run: Logged) -> Picture | None:
    """The gradient of the training loss in the states of the top layer by step, one curve for each update."""
    data = load_table(run, "backpropagated.parquet", ["update", "layer", "step", "log_norm"])
    if data is None or data.empty:
        return None
    top = data[data["layer"] == data["layer"].max()].reset_index(drop=True)
    profiles = [
        (int(str(update)), mine["step"].to_numpy(), _norms(mine["log_norm"])) for update, mine in top.groupby("update")
    ]
    with panels(1, height=3.0) as (figure, (axes,)):
        draw_norms_by_step(axes, curves_by_update(profiles))
        legend_below(figure)
    return Picture(
        "gradient-by-time",
        "Gradient of the training loss by step",
        "2-norm of the gradient of the training loss in the state of the top layer at every step of the sequence, mean "
        "over the sequences of one fixed batch: what backpropagation through all steps sends back. One line for each "
        f"of {count_of(len(profiles), 'measurement')}; a gap where the gradient is zero or not finite.",
        figure,
        top,
    )


def _norms(logs: pd.Series) -> np.ndarray:
    """Norms from their logarithms; NaN, a gap, where one is zero or not finite."""
    with np.errstate(over="ignore"):
        return np.exp(logs.where(np.isfinite(logs)).to_numpy(float))


def truncation_bias(run: Logged) -> Picture | None:
    """How far truncated gradients are from the full one, by k2, one curve for each update; the bound on the last."""
    data = load_truncation(run)
    if data is None or data.empty:
        return None
    measured = [(int(str(update)), mine) for update, mine in data.groupby("update")]
    errors, cosines = (
        curves_by_update([(update, mine["k2"].to_numpy(), mine[column].to_numpy(float)) for update, mine in measured])
        for column in ("error", "cosine")
    )
    last = measured[-1][1]
    with panels(2, 2, height=3.4, sharey=False) as (figure, (left, right)):
        draw_truncation_error(left, [*errors, Curve(last["k2"], last["bound"], "bound on the last", BOUND)])
        draw_truncation_cosine(right, cosines)
        legend_below(figure)
    return Picture(
        "truncation-bias",
        "Truncation bias",
        "Gradient of one fixed batch, truncated after k2 steps, compared with that of full backpropagation. One line "
        f"for each of {count_of(len(measured), 'measurement')}. Error 0 and cosine 1: nothing is lost. It is near that "
        "until outputs depend on the past, and says nothing there.",
        figure,
        data,
    )


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
