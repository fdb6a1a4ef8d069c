"""A sum of sines, the easy sanity task: two values are enough memory for each sine, if there is no noise."""

import numpy as np
import pandas as pd
import torch

from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingSineMixConfig as Config
from study.seeding import generator
from study.tasks.forecasting.family import Forecasting, Tables, chronological, look_ahead, share_ends


def load_sine_mix(config: Config, data: DataConfig) -> Tables:
    """x_t = sum_i sin(2 pi (t / period_i + phase_i)) + noise; phases and noise are the same for every seed."""
    draws = generator(0, "sine mix")
    phases = torch.rand(len(config.periods), 1, generator=draws, dtype=torch.float64)
    noise = config.noise * torch.randn(config.steps, generator=draws, dtype=torch.float64)
    turns = torch.arange(config.steps) / torch.tensor(config.periods, dtype=torch.float64)[:, None] + phases
    frame = pd.DataFrame({"value": ((2 * np.pi * turns).sin().sum(0) + noise).numpy()})
    targets = look_ahead(frame, ["value"], config.ahead)
    splits = chronological(frame, share_ends(frame.index, config), max(config.ahead))
    return Tables({"sine mix": splits}, targets, "drawn by the formula of the task")


class SineMix(Forecasting):
    """A sum of sines."""

    load = staticmethod(load_sine_mix)
