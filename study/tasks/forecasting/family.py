"""What forecasting tasks share: tables are read, standardised by the training part, and cut into windows.

A data set is a function `load` that reads its tables; everything else is here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from study.errors import ConfigError
from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.forecasting import ForecastingConfig as Config
from study.tasks.batches import Whole, Windows
from study.tasks.contract import SPLITS, Batch, Batches, NewData, Split, Task
from study.tasks.forecasting.scaling import Scaling, Target
from study.tasks.metrics import ForecastMetrics
from study.tasks.preprocessing import Names

FLOAT32 = np.finfo(np.float32)
LEAST_SPREAD = 1e-6
"""Of most values of a column, in its standard deviations; float32 has seven digits."""


class Tables(NamedTuple):
    """A data set, read.

    Attributes:
        series: for every series by name, its splits. Rows are steps; columns are the targets and, all others, the
            features, in their own units. No value in a split depends on a later split.
        targets: by column.
        source: where the data are from.
        notes: see `Task`.
    """

    series: dict[str, dict[Split, pd.DataFrame]]
    targets: dict[str, Target]
    source: str
    notes: tuple[str, ...] = ()


class Forecasting(Task):
    """Features and targets are standardised by mean and standard deviation of the training part.

    With one target, errors are in its own unit; with several, in standard deviations of what they are the future of.

    Attributes:
        one_unit: several targets have a unit in common, so that errors are in that unit too.
        features: their names, in the order in which they enter.
        known: the targets by name, in the order in which they are predicted.
    """

    load: ClassVar[Callable[..., Tables]]
    """Reads the data set as its config says: `load(config, data)`."""
    primary = "rmse"
    learnt = Scaling
    one_unit: bool = False
    opponents: tuple[str, ...] = ("mean", "persistence", "seasonal", "autoregression", "nlinear")

    def __init__(self, config: Config, data: DataConfig, seed: int):
        self._config, self._seed, self.direction = config, seed, config.direction
        self._tables = tables = self.load(config, data)
        self._scaled: dict[Split, list[tuple[Tensor, Tensor]]] = {}
        self.source, self.notes = tables.source, tables.notes
        self._check_lengths()
        training = [splits["train"] for splits in tables.series.values()]
        self._mean, self._std = self.moments(training)
        self._refuse_overflow()
        self.known = tables.targets
        self.features = [column for column in training[0].columns if column not in tables.targets]
        self.inputs, self.targets = Inputs(len(self.features), tokens=False), len(self.known)
        self._seasonal = self._seasonal_errors(training)
        self._repeat = self._persistence()

    def _check_lengths(self) -> None:
        for name, splits in self._tables.series.items():
            for split, frame in splits.items():
                steps = self._config.seq_len if split == "train" else 2
                if len(frame) < steps:
                    raise ConfigError(
                        f"task.seq_len = {self._config.seq_len}: {name} has {len(frame)} steps in the {split} part, "
                        f"{steps} are needed; give more data, other splits, or shorter sequences"
                    )

    @staticmethod
    def moments(training: Sequence[pd.DataFrame]) -> tuple[pd.Series, pd.Series]:
        """Mean and standard deviation a column, by which it is standardised; a constant column keeps its unit."""
        rows = pd.concat(training)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = rows.mean(), rows.std()
        if (tiny := (std < FLOAT32.tiny) & (rows.max() > rows.min())).any():
            column = tiny.index[tiny][0]
            raise ConfigError(
                f"column {column!r}: its values differ by {std[column]:g}, less than float32 can tell; give it in "
                "another unit"
            )
        return mean, std.replace(0.0, 1.0)

    def _refuse_overflow(self) -> None:
        """Refuse values whose squares no float32 can sum: every error would be infinite, and no number."""
        for name, splits in self._tables.series.items():
            for split, frame in splits.items():
                with np.errstate(all="ignore"):
                    scaled = ((frame - self._mean) / self._std).abs()
                    sums = (scaled**2).sum()
                good = (sums < FLOAT32.max) & np.isfinite(self._mean) & np.isfinite(self._std)
                if split == "train":  # beside a value so large, all others are one and the same
                    spread = frame.quantile(0.9) - frame.quantile(0.1)
                    good &= (spread == 0) | (spread / self._std > LEAST_SPREAD)
                if not good.all():
                    column = good.index[~good][0]
                    row = (frame[column] - frame[column].median()).abs().argmax()
                    raise ConfigError(
                        f"{name}: column {column!r} holds {frame[column].iloc[row]:g} ({frame.index[row]}, {split} "
                        "part), too far from the others for float32; mend the value, or give the column in another unit"
                    )

    def _seasonal_errors(self, training: Sequence[pd.DataFrame]) -> Tensor:
        """Mean absolute error of repeating the latest season known, for every target; on training, standardised."""
        errors = []
        for name, target in self.known.items():
            lag = self._config.season * math.ceil(target.ahead / self._config.season)
            changes = pd.concat([frame[target.series].diff(lag).abs() for frame in training]).dropna()
            if not changes.sum() > 0:
                raise ConfigError(
                    f"task.season = {self._config.season}: {name} has no two different values {lag} steps apart in "
                    "the training part"
                )
            errors.append(changes.mean() / self._std[name])
        return torch.tensor(errors, dtype=torch.float32)

    def _persistence(self) -> tuple[Tensor, Tensor, Tensor]:
        """(feature, factor, offset) of every target: persistence is factor times feature plus offset, standardised."""
        rows = []
        for name, target in self.known.items():
            kept = target.persists
            factor, offset = (0.0, 0.0) if kept is None else (self._std[kept], self._mean[kept])
            column = 0 if kept is None else self.features.index(kept)
            rows.append((column, factor / self._std[name], (offset - self._mean[name]) / self._std[name]))
        columns, factors, offsets = zip(*rows, strict=True)
        return torch.tensor(columns), torch.tensor(factors).float(), torch.tensor(offsets).float()

    @cached_property
    def _scale(self) -> Tensor:
        """For every target, the size of one standard deviation in the unit in which errors are given."""
        alone = self.targets == 1 or self.one_unit
        units = 1.0 if alone else self._std[[target.series for target in self.known.values()]]
        scale = self._std[list(self.known)] / np.asarray(units)
        return torch.tensor(scale.to_numpy(np.float32))

    def _tensors(self, split: Split) -> list[tuple[Tensor, Tensor]]:
        """(inputs, targets) of every series, standardised once: a run asks for them a dozen times."""
        if split not in self._scaled:
            frames = (splits[split] for splits in self._tables.series.values())
            self._scaled[split] = [self.preprocessing.tensors(frame) for frame in frames]
        return self._scaled[split]

    def batches(self, split: Split) -> Batches:
        """Training: windows of `seq_len` steps of every series; else every series from first to last step."""
        if split == "train":
            return Windows(self._tensors(split), self._config.seq_len, self._config.batch_size, self._seed)
        return Whole(self._tensors(split))

    def whole(self, split: Split) -> Batch:
        """Every series of a split from first to last step, side by side: every step once."""
        return Whole(self._tensors(split)).whole

    @property
    def season(self) -> int:
        """Steps of a season."""
        return self._config.season

    @property
    def levels(self) -> list[str] | None:
        """The feature of which every target tells a later value; None where some target is no later value of any."""
        levels = [target.persists or target.series for target in self.known.values()]
        return levels if set(levels) <= set(self.features) else None

    @property
    def units(self) -> Tensor:
        """See `Task`; float64."""
        return self.preprocessing.units

    @property
    def preprocessing(self) -> Scaling:
        """See `Task`."""
        return Scaling(self.features, self.known, self._mean, self._std)

    def names(self, split: Split) -> Names:
        """The series, and the time at which a forecast is made: that of the row that is read last."""
        return named({name: splits[split].index for name, splits in self._tables.series.items()})

    @classmethod
    def read(cls, config: Any, source: Path | pd.DataFrame, learnt: Scaling) -> NewData:
        """A table of the features, one row a step, by time: see `Task`."""
        frame = cls.table(config, source, learnt)
        frame = frame.reindex(columns=[*learnt.features, *learnt.known])  # what lies ahead is not known
        if (empty := frame[learnt.features].isna().any(axis=None)) or frame.empty:
            raise ConfigError(f"data: {'a feature is missing in some rows' if empty else 'there is no row'}")
        return NewData(Whole([learnt.tensors(frame)]), lambda sequence, step: {"time": frame.index[step]})

    @classmethod
    def table(cls, config: Any, source: Path | pd.DataFrame, learnt: Scaling) -> pd.DataFrame:
        """The features of new data by time, and what is known of the targets."""
        if not isinstance(source, pd.DataFrame):
            raise ConfigError(f"task = {config.name}: a pandas table is needed, with the columns {learnt.features}")
        if missing := [name for name in learnt.features if name not in source]:
            raise ConfigError(f"data: no column {', '.join(map(repr, missing))} (there: {', '.join(map(str, source))})")
        if isinstance(source.index, pd.DatetimeIndex) and not source.index.is_monotonic_increasing:
            raise ConfigError(
                "data: the rows of the table are not in the order of their times; sort them, earliest first"
            )
        try:
            return source[learnt.features].astype(float)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"data: a feature holds no number: {error}") from error

    def in_own_unit(
        self, inputs: Float[Tensor, "time batch features"], features: Sequence[str]
    ) -> Float[Tensor, "time batch chosen"]:
        """Some features as they were before they were standardised, float64."""
        std, mean = (torch.tensor(part[list(features)].to_numpy(float)) for part in (self._std, self._mean))
        return inputs[..., [self.features.index(name) for name in features]] * std + mean

    def metrics(self) -> ForecastMetrics:
        """RMSE, MAE, skill over persistence, MASE."""
        return ForecastMetrics(self._scale, self.baseline, self._seasonal)

    def baseline(self, batch: Batch) -> Tensor:
        """Persistence."""
        columns, factors, offsets = self._repeat
        return batch.inputs[..., columns] * factors + offsets


def named(indices: Mapping[str, pd.Index]) -> Names:
    """Names of the steps of several series: the series and the entry of its index."""
    series, firsts = np.array([*indices], dtype=object), np.cumsum([0, *map(len, indices.values())])
    times = (whole := list(indices.values()))[0].append(whole[1:])
    return lambda sequence, step: {"series": series[sequence], "time": times[firsts[sequence] + step]}


def look_ahead(frame: pd.DataFrame, columns: Sequence[str], steps: Sequence[int]) -> dict[str, Target]:
    """Add to `frame` the change of every column until so many steps later; persistence is no change.

    The error of a change is that of the value. Levels that drift, so that later parts leave the range of the training
    part, do not have to be learnt (Zeng et al. 2023, arXiv 2205.13504, NLinear).
    """
    targets = {}
    for column in columns:
        for ahead in steps:
            name = f"{column} +{ahead}"
            frame[name] = frame[column].shift(-ahead) - frame[column]
            targets[name] = Target(ahead, None, column)
    return targets


def share_ends(index: pd.Index, config: SplitByShares) -> tuple[Any, Any]:
    """The first entries of validation and of test, in an index in its order."""
    first, last = config.ends(len(index))
    return index[first], index[last]


def chronological(frame: pd.DataFrame, ends: tuple[Any, Any], ahead: int) -> dict[Split, pd.DataFrame]:
    """Split by the first entries of validation and test; rows without complete past or future are left out.

    So are the last `ahead` rows of training and of validation: their targets lie in the next part.
    """
    later, last = frame.index >= ends[0], frame.index >= ends[1]
    parts = frame[~later].iloc[:-ahead], frame[later & ~last].iloc[:-ahead], frame[last]
    return {split: part.dropna() for split, part in zip(SPLITS, parts, strict=True)}
