"""Long expressive memory: two states, each with learnt time steps (Rusch et al. 2022, arXiv 2110.04744, eq. 3).

    D_t, E_t = dt sigmoid(W_1 y_{t-1} + V_1 x_t + b_1), dt sigmoid(W_2 y_{t-1} + V_2 x_t + b_2)
    z_t = (1 - D_t) z_{t-1} + D_t tanh(W_z y_{t-1} + V_z x_t + b_z)
    y_t = (1 - E_t) y_{t-1} + E_t tanh(W_y z_t + V_y x_t + b_y)

A step near 0 keeps a unit as it is, so every unit may have a time scale of its own, which depends on the input.
"""

import math

import torch
from torch import Tensor, nn

from study.models.contract import Activations, State
from study.models.initialisation import Start, start_blocks
from study.models.kernel import LoopedCell, Tensors, of_matrix, sigmoid_slope, steps, steps_back, tanh_slope
from study.schema.model.base import Kernel


class LEM(LoopedCell):
    """The state is (h, z), h being y, which leaves the layer. All of z's past reaches y through z.

    Weights of the inputs and biases start uniform in +-1 / sqrt(units), as in the released code.

    Args:
        features: of an input step.
        hidden_size: units of each state.
        dt: longest time step, at most 1; the gates choose between 0 and dt.
        recurrent_init: how the four square matrices start, see `study.models.initialisation`.
        gain: their scale at the start.
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
    """

    bounded = True
    state_parts = ("h", "z")
    memory = "z"
    recurrent = ("W",)
    stacked = ("step_z", "step_y", "z", "y")

    def __init__(
        self,
        features: int,
        hidden_size: int,
        dt: float = 1.0,
        recurrent_init: Start = "uniform",
        gain: float = 1.0,
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size)
        self.kernel = kernel
        self.dt = dt
        self.V = nn.Linear(features, 4 * hidden_size)
        bound = 1 / math.sqrt(hidden_size)
        for parameter in self.V.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        self.W = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        # Reads the z of the same step: it acts on the state after the step, not on the one before.
        self.W_y = nn.Parameter(torch.empty(hidden_size, hidden_size))
        start_blocks([*self.blocks(), self.W_y], recurrent_init, gain)

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; V x + b of both steps, of z and of y."""
        return self.V(inputs)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        step_z, step_y, new_z, after = self._units(inputs, state)
        z = torch.lerp(state[1], new_z, step_z)
        return torch.lerp(state[0], torch.addmm(after, z, self.W_y.T).tanh(), step_y), z

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; steps as shares of dt; what of z stays is 1 less its step."""
        step_z, step_y, new_z, after = self._units(inputs, state)
        z = torch.lerp(state[1], new_z, step_z)
        gates = {"step_z": step_z / self.dt, "step_y": step_y / self.dt, "retention": 1 - step_z}
        tanh = {"z": new_z, "y": torch.addmm(after, z, self.W_y.T).tanh()}
        return Activations(gates, tanh, retention_gate="retention")

    def weights(self) -> Tensors:
        """See `LoopedCell`; W and W_y."""
        return self.W, self.W_y

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; leaves D and E as shares of dt, and what z and y move to."""
        (h, z), (W, W_y), size = states, (matrix.t().contiguous() for matrix in weights), self.hidden_size
        units, y, at, u = torch.empty_like(inputs), h[0], z[0], torch.empty_like(inputs[0])
        (step_z, step_y, new_z, new_y), before, gates = u.chunk(4, -1), u[:, :-size], u[:, : 2 * size]
        for entering, units_t, h_t, z_t in steps(inputs, units, h[1:], z[1:]):
            u.copy_(entering)
            before.addmm_(y, W)
            gates.sigmoid_()
            at = torch.lerp(at, new_z.tanh_(), step_z if self.dt == 1 else self.dt * step_z, out=z_t)
            new_y.addmm_(at, W_y).tanh_()
            y = torch.lerp(y, new_y, step_y if self.dt == 1 else self.dt * step_y, out=h_t)
            units_t.copy_(u)
        return (units,)

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; in every step y comes after z, so its gradient comes before."""
        (of_h, of_z), (h, z), (units,), (W, W_y) = slopes, states, saved, weights
        (step_z, step_y, new_z, new_y), d = units.chunk(4, -1), torch.empty_like(units)
        d_step_z, d_step_y, d_z, d_y = d.chunk(4, -1)
        sigmoid_slope(new_z - z[:-1], step_z, d_step_z)
        sigmoid_slope(new_y - h[:-1], step_y, d_step_y)
        tanh_slope(step_z, new_z, d_z)
        tanh_slope(step_y, new_y, d_y)
        if self.dt != 1:
            d.mul_(self.dt)
        keep_z, keep_y = (torch.rsub(step, 1, alpha=self.dt) for step in (step_z, step_y))
        pairs, of_both = d.unflatten(-1, (2, 2, -1))[..., 0, :], of_z[:, None]
        for of_now, of_before, pair, d_step, d_y_t, d_t, keep_z_t, keep_y_t in steps_back(
            of_h, pairs, d_step_y, d_y, d[..., : -self.hidden_size], keep_z, keep_y
        ):
            d_step.mul_(of_now)
            of_z.addmm_(d_y_t.mul_(of_now), W_y)
            pair.mul_(of_both)
            of_z.mul_(keep_z_t)
            of_before.addcmul_(of_now, keep_y_t).addmm_(d_t, W)
        return d, of_matrix(d[..., : -self.hidden_size], h[:-1]), of_matrix(d_y, z[1:])

    def _units(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """D, E, what z moves to, and V_y x + b_y."""
        before, after = inputs.split((3 * self.hidden_size, self.hidden_size), -1)
        first, second, third = torch.addmm(before, state[0], self.W.T).chunk(3, -1)
        return self.dt * first.sigmoid(), self.dt * second.sigmoid(), third.tanh(), after
