"""Coupled oscillatory network: y'' = tanh(W y + U y' + V x + b) - gamma y - epsilon y' (Rusch & Mishra 2021).

In steps of dt, z being y' (arXiv 2010.00951, eq. 3, damping explicit, as in the released code):

    z_t = z_{t-1} + dt (tanh(W y_{t-1} + U z_{t-1} + V x_t + b) - gamma y_{t-1} - epsilon z_{t-1})
    y_t = y_{t-1} + dt z_t

A state is moved by dt a step and not made anew, so its gradient is 1 + O(dt) a step (proposition 3.1 there).
"""

import math

import torch
from torch import Tensor, nn

from study.models.contract import State
from study.models.initialisation import Start, start_blocks
from study.models.kernel import LoopedCell, Tensors, of_matrix, steps, steps_back, tanh_slope
from study.schema.model.base import Kernel


class CoRNN(LoopedCell):
    """The state is (h, z), h being y; an oscillation that passes through zero in one of them is in the other.

    There are no `activations`: where the tanh is flat the gradient passes beside it, along y and z themselves.

    Args:
        features: of an input step.
        hidden_size: oscillators.
        dt: length of a step.
        gamma: stiffness: the frequency of an oscillator alone is its root.
        epsilon: damping.
        recurrent_init: how W and U start, see `study.models.initialisation`.
        gain: their scale at the start; uniform with 0.7 is nearly the released code's +-1 / sqrt(features + 2 units).
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
    """

    state_parts = ("h", "z")
    recurrent = ("W", "U")

    def __init__(
        self,
        features: int,
        hidden_size: int,
        dt: float = 0.076,
        gamma: float = 0.4,
        epsilon: float = 8.0,
        recurrent_init: Start = "uniform",
        gain: float = 0.7,
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size)
        self.kernel = kernel
        self.dt, self.gamma, self.epsilon = dt, gamma, epsilon
        self.V = nn.Linear(features, hidden_size)
        bound = 1 / math.sqrt(features + 2 * hidden_size)
        for parameter in self.V.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        self.W = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.U = nn.Parameter(torch.empty(hidden_size, hidden_size))
        start_blocks(self.blocks(), recurrent_init, gain)

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; V x + b."""
        return self.V(inputs)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        y, z = state
        force = torch.addmm(torch.addmm(inputs, y, self.W.T), z, self.U.T).tanh()
        z = z + self.dt * (force - self.gamma * y - self.epsilon * z)
        return y + self.dt * z, z

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; leaves the tanh."""
        (h, z), (W, U), force = states, (matrix.t() for matrix in weights), torch.empty_like(inputs)
        y, speed, kept, pull = h[0], z[0], 1 - self.dt * self.epsilon, -self.dt * self.gamma
        for entering, force_t, h_t, z_t in steps(inputs, force, h[1:], z[1:]):
            torch.addmm(entering, y, W, out=force_t).addmm_(speed, U).tanh_()
            speed = torch.mul(speed, kept, out=z_t).add_(force_t, alpha=self.dt).add_(y, alpha=pull)
            y = torch.add(y, speed, alpha=self.dt, out=h_t)
        return (force,)

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`."""
        (of_h, of_z), (h, z), (force,), (W, U) = slopes, states, saved, weights
        kept, pull, d = 1 - self.dt * self.epsilon, -self.dt * self.gamma, tanh_slope(torch.ones_like(force), force)
        d.mul_(self.dt)
        for of_now, of_before, d_t in steps_back(of_h, d):
            of_z.add_(of_now, alpha=self.dt)
            d_t.mul_(of_z)
            of_before.add_(of_now).add_(of_z, alpha=pull).addmm_(d_t, W)
            of_z.addmm_(d_t, U, beta=kept)
        return d, of_matrix(d, h[:-1]), of_matrix(d, z[:-1])
