"""The pictures of docs/concepts.md, into docs/pictures: `python docs/draw.py`, half a minute.

Each is a function that measures and draws by what the study itself uses. Networks, data and seeds are fixed. Pictures
of linear networks are of closed forms, which tests/test_docs_pictures.py holds the drawn numbers against; those of
trained runs may differ in the last digits on another CPU.
"""

import tempfile
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from torch import Tensor

from study import api
from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.figures import flow, norms, truncation
from study.figures.style import COLOURS, Curve, legend_below, panels
from study.installation import CONF
from study.models import Inputs, RecurrentModel, core_class
from study.probes.flow import Profile, gradient_flow
from study.probes.gradients import gradient
from study.probes.lyapunov import lyapunov
from study.report.figures.picture import for_file, to_svg
from study.schema import validate
from study.tasks.contract import Batch
from study.train import train
from study.verify.networks import FEATURES, MSE, data, linear, orthogonal, random_network

FOLDER = Path(__file__).with_name("pictures")
LAGS = 60
RADII = (0.9, 1.0, 1.1)
"""Of the linear networks whose flow is drawn: below, at and above 1."""
GAINS, SHOWN = (0.5, 1.0, 2.0), (1e-6, 1e6)
"""Of the tanh networks whose exponents are drawn; and the shares that are shown of their gradients."""
DECAYS, LENGTHS, TIME = (0.5, 0.9, 0.97), (1, 2, 5, 10, 20, 50), 100
"""Factors a step of the networks that are truncated, values of k2, and steps of the sequence."""
STARTS = {
    "Elman": ("elman", {}),
    "GRU": ("gru", {}),
    "LSTM, forget bias 0": ("lstm", {"forget_bias": 0.0}),
    "LSTM, forget bias 1": ("lstm", {"forget_bias": 1.0}),
    "LSTM, forget bias 3": ("lstm", {"forget_bias": 3.0}),
}
"""Networks before their first update."""
EXPLODING = (
    "task=forecasting_adding", "task.seq_len=60", "task.sequences=2000", "model=elman", "model.gain=1.6",
    "optimizer=sgd", "optimizer.lr=0.3", "trainer.max_updates=200", "trainer.progress_bar=false", "probe.start=true",
)  # fmt: skip
"""A run whose recurrent matrix is drawn with a spectral radius of 1.6."""
TREATMENTS = {"clip=none": None, "clip=norm clip.threshold=0.1": 0.1}
"""Of that run, with the threshold that is drawn."""


def linear_flow() -> Figure:
    """phi_k / phi_0 of h_t = rho Q h_{t-1} + V x_t, measured: exactly rho^k."""
    curves = [_shares(rho_flow(rho), f"rho = {rho:g}", colour) for rho, colour in zip(RADII, COLOURS, strict=False)]
    with panels(1, height=3.4) as (figure, (axes,)):
        axes.set_title("linear networks: the gradient k steps back is rho to the k")
        flow.draw_flow_by_lag(axes, curves, None, (VANISHED, EXPLODED))
        legend_below(figure)
    return figure


def flow_at_the_start() -> Figure:
    """The flow of the memory of untrained networks of 32 units, on noise."""
    curves = [
        _shares(_untrained(*network), label, colour)
        for (label, network), colour in zip(STARTS.items(), COLOURS, strict=False)
    ]
    with panels(1, height=3.4) as (figure, (axes,)):
        axes.set_title("before the first update: what a gate changes")
        flow.draw_flow_by_lag(axes, curves, None, (VANISHED, EXPLODED))
        legend_below(figure)
    return figure


def exponents() -> Figure:
    """The flow of tanh networks of random weights, and the slope that their largest Lyapunov exponent predicts."""
    with panels(len(GAINS)) as (figure, grid):
        for axes, gain in zip(grid, GAINS, strict=True):
            network, batch = random_network("elman", gain), data(200, 16)
            measured = gradient_flow(network, MSE, batch, LAGS, 64).joint
            largest = float(lyapunov(network, batch, 1, 16).exponents[0])
            curves = flow.flow_curves([(0, measured.log_phi - measured.log_phi[0])], largest, 0)
            named = [replace(curves[0], label="measured"), replace(curves[1], label="predicted")]
            flow.draw_flow_by_lag(axes, named, None, (VANISHED, EXPLODED))
            axes.set(title=f"gain {gain:g}: exponent {largest:+.2f} nats a step", ylim=SHOWN)
        legend_below(figure)
    return figure


def clipping() -> Figure:
    """Norms of the same exploding run without clipping, and clipped."""
    hydra = initialize_config_dir(str(CONF), version_base="1.3")
    with hydra, tempfile.TemporaryDirectory() as folder, chdir(folder), panels(2, sharey=False) as (figure, grid):
        for axes, (treatment, threshold) in zip(grid, TREATMENTS.items(), strict=True):
            rows = _trained(*treatment.split())
            columns = (rows[f"grad_norm/{name}"].to_numpy(float) for name in ("total", "applied"))
            norms.draw_norms(axes, {"": norms.norm_history(rows.index.to_numpy(), *columns)}, threshold)
            axes.set_title(treatment)
        legend_below(figure)
    return figure


def truncation_error() -> Figure:
    """What truncation after k2 steps cuts off the gradient of the input weight of h_t = rho h_{t-1} + v x_t."""
    curves = [
        Curve(np.array(LENGTHS), np.array([cut_off(rho, k2) for k2 in LENGTHS]), f"rho = {rho:g}", {"color": colour})
        for rho, colour in zip(DECAYS, COLOURS, strict=False)
    ]
    with panels(1, height=3.4) as (figure, (axes,)):
        axes.set_title("truncation: what is lost of a gradient that shrinks by rho a step")
        truncation.draw_truncation_error(axes, curves)
        legend_below(figure)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "linear_flow": linear_flow,
    "flow_at_the_start": flow_at_the_start,
    "exponents": exponents,
    "clipping": clipping,
    "truncation_error": truncation_error,
}
"""By name of the file."""


def rho_flow(rho: float) -> Profile:
    """The flow of a linear network whose recurrent matrix is rho times an orthogonal one."""
    return gradient_flow(linear(rho * orthogonal(6)), MSE, data(LAGS + 1, 8), LAGS, 8).joint


def cut_off(rho: float, k2: int) -> float:
    """The share of the input weight's gradient that is lost, of a loss at the last of `TIME` steps, all inputs 1."""
    network = linear(torch.tensor([[rho]], dtype=torch.float64))
    at_the_end = torch.arange(TIME)[:, None] == TIME - 1
    batch = Batch(torch.ones(TIME, 1, FEATURES).double(), torch.full((TIME, 1, 1), 100.0).double(), at_the_end)
    full, truncated = (_of_inputs(network, gradient(network, MSE, batch, 1, length)) for length in (TIME, k2))
    return float((full - truncated).norm() / full.norm())


def _of_inputs(network: RecurrentModel, flat: Tensor) -> Tensor:
    """The part of a gradient that is of the input weights."""
    named = [(name, parameter.numel()) for name, parameter in network.named_parameters()]
    parts = dict(zip([name for name, _ in named], flat.split([size for _, size in named]), strict=True))
    return parts["core.inputs.weight"]


def _untrained(name: str, options: dict[str, float]) -> Profile:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        core = core_class(name)(FEATURES, 32, 1, **options)
        network = RecurrentModel(Inputs(FEATURES, tokens=False), core, 1).double()
    return gradient_flow(network, MSE, data(2 * LAGS, 16), LAGS, 64).memory


def _trained(*treatment: str) -> pd.DataFrame:
    """The history of the exploding run, under a treatment, in a store in the current folder."""
    store = "sqlite:///mlflow.db"
    result = train(validate(compose("train", [*EXPLODING, *treatment, f"tracking.uri={store}"])))
    print(" ".join(treatment), result.diagnosis, sep="\n")
    return api.history(result.run_id, store)


def _shares(measured: Profile, label: str, colour: str) -> Curve:
    log_shares = measured.log_phi - measured.log_phi[0]
    return Curve(np.arange(len(log_shares)), flow.shares(log_shares), label, {"color": colour})


def main() -> None:
    """Draw all of them."""
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(for_file(to_svg(draw())))
        print(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
