"""`python -m study.verify`: every gradient measure against a truth known beforehand, as a table with its error.

Nothing here is random from run to run, nothing is trained, no data are read: linear networks whose gradients have a
closed form, a map whose exponents are in every textbook, and networks whose two measures must agree. All in float64.
The exit code is 1 if an error exceeds its tolerance.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from study import losses, models
from study.bptt import TruncatedBPTT
from study.clipping import NoClip
from study.models import Core, Inputs, RecurrentModel, State, Units
from study.probes.flow import gradient_flow
from study.probes.lyapunov import exponents_by_qr, lyapunov
from study.probes.truncation import truncation_bias
from study.schema import learning
from study.schema import model as schema
from study.tasks.contract import Batch

FEATURES = 3
WIDTH = 120
"""Columns of text the table needs."""
MSE = losses.build(learning.MSE(name="mse", over_time="mean"))


class Check(NamedTuple):
    """One measure against one truth."""

    measure: str
    of: str
    expected: float
    got: float
    tolerance: float

    @property
    def error(self) -> float:
        """Absolute."""
        return abs(self.got - self.expected)

    @property
    def holds(self) -> bool:
        """Whether it is within the tolerance."""
        return self.error <= self.tolerance


class Linear(Core):
    """h_t = W h_{t-1} + V x_t: d h_t / d h_{t-1} = W at every step, whatever the inputs."""

    def __init__(self, weight: Tensor, features: int):
        super().__init__()
        self.hidden_size, self.num_layers = len(weight), 1
        self.weight = nn.Parameter(weight.clone())
        self.inputs = nn.Linear(features, len(weight), bias=False)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Core`."""
        hidden = inputs.new_zeros(inputs.shape[1], self.hidden_size) if state is None else state[0][0]
        outputs = []
        for entering in inputs:
            (hidden,) = self.step(0, entering, (hidden,))
            outputs.append(hidden)
        return torch.stack(outputs), (hidden[None],)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        return (state[0] @ self.weight.T + self.inputs(inputs),)

    def units(self, layer: int, inputs: Tensor, state: State) -> Units:
        """See `Core`; nothing saturates."""
        return Units()


def linear(weight: Tensor) -> RecurrentModel:
    """A linear network."""
    return RecurrentModel(Inputs(FEATURES, tokens=False), Linear(weight, FEATURES), 1).double()


def orthogonal(size: int) -> Tensor:
    """A fixed orthogonal matrix."""
    return torch.linalg.qr(normal(size, size, seed=0)).Q


def random_network(config: schema.Recurrent, gain: float) -> RecurrentModel:
    """W_hh ~ N(0, gain^2 / hidden)."""
    network = models.build(config, Inputs(FEATURES, tokens=False), 1).double()
    weight = network.core.get_parameter("weight_hh_l0")
    weight.data = normal(*weight.shape, seed=3) * gain / math.sqrt(config.hidden_size)
    return network


def normal(*shape: int, seed: int) -> Tensor:
    """Fixed draws."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def data(time: int, width: int) -> Batch:
    """Inputs and targets ~ N(0, 1)."""
    return Batch(normal(time, width, FEATURES, seed=1), normal(time, width, 1, seed=2))


def scaled_orthogonal() -> Iterator[Check]:
    """W = rho Q: phi_k = phi_0 rho^k, and every exponent is log rho."""
    for rho in (0.5, 0.9, 1.0, 1.1):
        network, batch = linear(rho * orthogonal(6)), data(120, 4)
        flow, spectrum = gradient_flow(network, MSE, batch, 100, 8).joint, lyapunov(network, batch, None, 4)
        yield Check("log phi_100 / phi_0", f"linear, rho = {rho}", 100 * math.log(rho), flow.log_ratio(100), 1e-6)
        yield Check("decay rate", f"linear, rho = {rho}", math.log(rho), flow.decay, 1e-6)
        for name, place in (("largest", 0), ("smallest", -1)):
            got = float(spectrum.exponents[place])
            yield Check(f"Lyapunov exponent, {name}", f"linear, rho = {rho}", math.log(rho), got, 1e-6)


def out_of_range() -> Iterator[Check]:
    """Gradients that no float64 holds."""
    for rho in (1e-4, 1e4):
        batch = data(101, 2)
        quiet = Batch(torch.zeros_like(batch.inputs), batch.targets)
        flow = gradient_flow(linear(rho * orthogonal(4)), MSE, quiet, 100, 2)
        got = flow.joint.log_ratio(100) / math.log(10)
        yield Check("log10 phi_100 / phi_0", f"linear, rho = {rho:g}", 100 * math.log10(rho), got, 1e-6)


def transient_growth() -> Iterator[Check]:
    """A non-normal W of spectral radius 1/2: (W^T)^k grows before it shrinks."""
    weight, readout = torch.tensor([[0.5, 8.0], [0.0, 0.5]]).double(), torch.tensor([1.0, 0.0]).double()
    network = linear(weight)
    network.head.weight.data[0] = readout
    flow = gradient_flow(network, MSE, data(40, 1), 30, 1).joint
    for lag in (1, 5, 30):
        expected = float((torch.linalg.matrix_power(weight.T, lag) @ readout).norm().log())
        yield Check(f"log phi_{lag} / phi_0", "linear, non-normal", expected, flow.log_ratio(lag), 1e-6)


def henon() -> Iterator[Check]:
    """Hénon's map, a = 1.4, b = 0.3 (exponents: Sprott 2003, appendix A): their sum is log b exactly."""
    steps, points = 40_000, [(0.1, 0.1)]
    for _ in range(steps):
        x, y = points[-1]
        points.append((1 - 1.4 * x * x + y, 0.3 * x))

    def transposed(t: int, directions: Tensor) -> Tensor:
        return torch.tensor([[-2.8 * points[t][0], 0.3], [1.0, 0.0]], dtype=torch.float64) @ directions

    (rates,), _ = exponents_by_qr(transposed, steps, 1, 2, 2, torch.zeros(1, dtype=torch.float64))
    yield Check("Lyapunov exponent, largest", "Hénon's map", 0.419, float(rates[0]), 4e-3)
    yield Check("Lyapunov exponent, smallest", "Hénon's map", -1.623, float(rates[1]), 4e-3)
    yield Check("Lyapunov exponents, sum", "Hénon's map", math.log(0.3), float(rates.sum()), 1e-6)


def prediction() -> Iterator[Check]:
    """Two measures that share no code but the step: the largest exponent and the slope of the flow."""
    common = {"hidden_size": 48, "num_layers": 1, "dropout": 0.0, "recurrent_init": "uniform", "gain": 1.0}
    configs: dict[str, schema.Recurrent] = {
        "tanh": schema.Elman.model_validate(common | {"name": "elman", "activation": "tanh"}),
        "LSTM": schema.LSTM.model_validate(common | {"name": "lstm", "forget_bias": 1.0}),
        "GRU": schema.GRU.model_validate(common | {"name": "gru"}),
    }
    for name, config in configs.items():
        for gain in (0.5, 1.0, 2.0, 3.0):
            network, batch = random_network(config, gain), data(160, 6)
            exponent = float(lyapunov(network, batch, 1, 6).exponents[0])
            decay = gradient_flow(network, MSE, batch, 120, 30).memory.decay
            yield Check("decay rate, by exponent", f"{name}, gain {gain:g}", exponent, decay, 0.02)


def truncation() -> Iterator[Check]:
    """W = 0: nothing is lost by truncation; k2 = T: nothing either; between, a closed form for one step."""
    for weight, k2 in ((0 * orthogonal(4), 1), (0.9 * orthogonal(4), 30)):
        name = "W = 0, k2 = 1" if k2 == 1 else "rho = 0.9, k2 = T"
        yield Check("truncation bias", f"linear, {name}", 0.0, _bias(linear(weight), data(30, 4), k2), 1e-12)
    network, batch = linear(0.9 * orthogonal(4)), data(2, 4)
    yield Check(
        "truncation bias", "linear, T = 2, k2 = 1", _missing_share(network, batch), _bias(network, batch, 1), 1e-9
    )


def _bias(network: RecurrentModel, batch: Batch, k2: int) -> float:
    sgd = torch.optim.SGD(network.parameters(), 0.1)
    return float(truncation_bias(TruncatedBPTT(network, MSE, sgd, NoClip()), batch, [k2], 1).error[0])


@torch.no_grad()
def _missing_share(network: RecurrentModel, batch: Batch) -> float:
    """T = 2, from h_0 = 0: truncation loses W^T a_2 x_1^T, in the gradient of V only; all the rest it keeps."""
    hidden = network.core(batch.inputs)[0]
    slope = 2 * (network.decode(hidden) - batch.targets) / batch.steps
    sent = slope @ network.head.weight
    missing = (sent[1] @ network.core.get_parameter("weight")).T @ batch.inputs[0]
    entering = torch.einsum("tbh,tbx->hx", sent, batch.inputs) + missing
    parts = (sent[1].T @ hidden[0], entering, torch.einsum("tbo,tbh->oh", slope, hidden), slope.sum((0, 1)))
    return float(missing.norm()) / math.sqrt(sum(float(part.square().sum()) for part in parts))


Truth = Callable[[], Iterator[Check]]
TRUTHS: Sequence[Truth] = (scaled_orthogonal, out_of_range, transient_growth, henon, prediction, truncation)


def table(checks: list[Check]) -> Table:
    """Measure, what of, expected, got, error, tolerance; failures marked."""
    shown = Table(title="Gradient measures against known truth (float64; rates in nats a step)", box=SIMPLE)
    for column in ("measure", "of"):
        shown.add_column(column, no_wrap=True)
    for column in ("expected", "got", "error", "tolerance", ""):
        shown.add_column(column, justify="right", no_wrap=True)
    for check in checks:
        numbers = f"{check.expected:.6f}", f"{check.got:.6f}", f"{check.error:.1e}", f"{check.tolerance:.0e}"
        shown.add_row(check.measure, check.of, *numbers, "ok" if check.holds else "[bold red]WRONG[/]")
    return shown


def main() -> None:
    """Check everything, show it, and fail if anything is wrong."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    checks = [check for truth in TRUTHS for check in truth()]
    wrong = [check for check in checks if not check.holds]
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table(checks))
    console.print(f"{len(checks) - len(wrong)} of {len(checks)} within tolerance")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
