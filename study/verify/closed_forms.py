"""Metrics against closed forms and textbooks."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.learning.clipping.norm import ClipNorm
from study.learning.exponents import exponents_by_qr
from study.models import RecurrentModel
from study.probes.autonomous import autonomous_exponents
from study.probes.flow import gradient_flow
from study.probes.geometry import noise_scale, update_geometry
from study.probes.lyapunov import lyapunov
from study.probes.saturation import saturation
from study.probes.truncation import truncation_bias
from study.probes.weights import recurrent_weights
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import FEATURES, MSE, data, linear, normal, orthogonal, random_network


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


def diagonal() -> Iterator[Check]:
    """W = diag(d): the exponents are log |d|, each its own."""
    entries = torch.tensor([0.8, 0.3, 1.2, 0.5]).double()
    network = linear(torch.diag(entries))
    found = lyapunov(network, data(4000, 1), None, 1)
    truth = entries.log().sort(descending=True).values
    for place, (expected, got) in enumerate(zip(truth, found.exponents, strict=True), 1):
        yield Check(f"Lyapunov exponent {place} of 4", "linear, diagonal", float(expected), float(got), 1e-6)
    yield Check("log condition, a step", "linear, diagonal", math.log(4), found.log_condition / found.steps, 1e-6)


def fed_back() -> Iterator[Check]:
    """W h + V x with x = C h + b fed back: the exponents are the logs of the eigenvalues of W + V C."""
    entries = torch.tensor([0.97, 0.8, 0.6, 0.4, 0.3, 0.2]).double()
    network = linear(torch.diag(entries), FEATURES)
    entering = network.core.get_parameter("inputs.weight")
    network.core.get_parameter("weight").data -= entering.data @ network.head.weight.data
    found = autonomous_exponents(network, data(20, 2).inputs, MSE.predict, 400, None).mean(0)
    for place, (expected, got) in enumerate(zip(entries.log(), found, strict=True), 1):
        yield Check(f"autonomous exponent {place} of 6", "linear, W + V C", float(expected), float(got), 1e-6)


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


def truncation() -> Iterator[Check]:
    """W = 0: nothing is lost by truncation; k2 = T: nothing either; between, a closed form for one step."""
    for weight, k2 in ((0 * orthogonal(4), 1), (0.9 * orthogonal(4), 30)):
        name = "W = 0, k2 = 1" if k2 == 1 else "rho = 0.9, k2 = T"
        yield Check("truncation bias", f"linear, {name}", 0.0, _bias(linear(weight), data(30, 4), k2), 1e-12)
    network, batch = linear(0.9 * orthogonal(4)), data(2, 4)
    expected = _missing_share(network, batch)
    yield Check("truncation bias", "linear, T = 2, k2 = 1", expected, _bias(network, batch, 1), 1e-9)
    yield from _bound()


def _bound() -> Iterator[Check]:
    """Aicher et al.'s bound falls with k2 as the sum of rho^k over all lags that are cut off."""
    rho, time = 0.8, 12
    network, batch = linear(rho * orthogonal(4)), data(time, 3)
    level = Batch(batch.inputs, network(batch.inputs)[0].detach() - 1.0)  # the same slope at every step
    found = truncation_bias(_trainer(network), level, [1, 3, 5], 1)

    def tail(k2: int) -> float:
        return sum(rho**k for s in range(time) for k in range(s % k2 + 1, s + 1))

    for place, k2 in ((1, 3), (2, 5)):
        got = float(found.bound[place] / found.bound[0])
        yield Check(f"bound on the bias, k2 = {k2} : 1", "linear, rho = 0.8", tail(k2) / tail(1), got, 1e-9)
    slack = max(float((found.error - found.bound).max()), 0.0)
    yield Check("bias above its bound", "linear, rho = 0.8", 0.0, slack, 1e-12)


def _bias(network: RecurrentModel, batch: Batch, k2: int) -> float:
    return float(truncation_bias(_trainer(network), batch, [k2], 1).error[0])


def _trainer(network: RecurrentModel, threshold: float | None = None) -> TruncatedBPTT:
    clip = ClipNorm(threshold) if threshold else NoClip()
    return TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), clip)


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


def weights() -> Iterator[Check]:
    """A scaled orthogonal matrix is normal; a shift is as far from it as can be."""
    for name, matrix, expected in (
        ("0.7 Q", 0.7 * orthogonal(5), (0.7, 0.7, 0.0)),
        ("shift", torch.diag(torch.full((4,), 2.0).double(), 1), (0.0, 2.0, 1.0)),
    ):
        network = random_network("elman", 1.0, 5)
        next(network.core.recurrent_blocks()).matrix.data.copy_(matrix)
        block = recurrent_weights(network.core).blocks[0]
        for kind, truth in zip(("spectral_radius", "largest_singular_value", "non_normality"), expected, strict=True):
            yield Check(kind.replace("_", " "), f"W = {name}", truth, getattr(block, kind), 1e-6)


def units() -> Iterator[Check]:
    """Forget gates held open by a bias of 3, all else zero: sigma(3) a step, one gate of three saturated."""
    network = random_network("lstm", 1.0, 5)
    for name, parameter in network.core.named_parameters():
        parameter.data.zero_()
        if name == "bias_ih_l0":
            parameter.data[5:10] = 3.0
    found = saturation(network, data(8, 3))
    forget = next(share for share in found.shares if share.name == "forget")
    yield Check("forget gate's time scale", "lstm, bias 3", 1 / math.log1p(math.exp(-3.0)), forget.time_scale, 1e-9)
    yield Check("share of saturated gates", "lstm, bias 3", 1 / 3, found.mean_share("gate"), 1e-9)


def geometry() -> Iterator[Check]:
    """Plain descent moves by the learning rate times the gradient, clipped or not; known noise is found."""
    network, batch = random_network("gru", 1.0, 5), data(10, 4)
    free = update_geometry(_trainer(network), batch, 2)
    clipped = update_geometry(_trainer(network, free.gradient_norm / 4), batch, 2)
    yield Check("effective learning rate", "gru, SGD 0.1", 0.1, free.effective_rate, 1e-9)
    yield Check("effective learning rate", "gru, clipped to a quarter", 0.025, clipped.effective_rate, 1e-9)
    size, parts, deviation = 4, 8, 3.0
    draws = 1.0 + normal(400, parts, 500, seed=4) * deviation / math.sqrt(size)
    scales = [noise_scale(smalls.mean(0), smalls, size) for smalls in draws]
    yield Check("gradient noise scale", "N(1, 3^2), 400 times", deviation**2, float(np.mean(scales)), 0.3)
