"""What was measured of an update, as numbers and tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.analysis.autopsy.choice import Chosen
from study.probes.shares import Shares

HALF = 0.5


@dataclass(frozen=True)
class Examined:
    """One update, made once more.

    Attributes:
        update: its number, from 1.
        loss: the training loss, as recorded.
        rate: the learning rate.
        norm: of the gradient before clipping, as recorded.
        applied: the same after clipping.
        shares: what carried the gradient.
        step: || change of the weights || / || weights ||.
        before: the loss of the windows that it learnt from, without dropout, before its step.
        after: the same after its step.
        broken: number of weights that were not finite before it.
        share: of what the clip policy looks at by itself, such as states, that it changed; NaN: it looks at the whole.
    """

    update: int
    loss: float
    rate: float
    norm: float
    applied: float
    shares: Shares
    step: float
    before: float
    after: float
    broken: int
    share: float = math.nan

    @property
    def left(self) -> float:
        """The share of the norm that clipping left."""
        return self.applied / self.norm if self.applied != self.norm else 1.0

    @property
    def leading(self) -> tuple[int, float]:
        """The fewest sequences that carry half of the gradient, and what they carry; NaN where it is not finite."""
        carried = np.sort(self.shares.sequences.numpy())[::-1].cumsum()
        if not np.isfinite(carried).all():
            return 0, math.nan
        if not (carried >= HALF).any():  # more than half is a regularizer's
            return len(carried), float(carried[-1])
        count = int(np.argmax(carried >= HALF)) + 1
        return count, float(carried[count - 1])

    @property
    def back(self) -> tuple[int, float]:
        """How far back half of the gradient flowed at least, in steps, and what flowed as far; NaN as above."""
        shares = self.shares.lags.shares.numpy()
        if not np.isfinite(shares).all():
            return 0, math.nan
        tail = shares[::-1].cumsum()[::-1] + self.shares.lags.further
        if self.shares.lags.further >= HALF:
            return len(shares), self.shares.lags.further
        steps = int(np.flatnonzero(tail >= HALF)[-1])
        return steps, float(tail[steps])

    @property
    def heaviest(self) -> tuple[str, float, str, float]:
        """The parameter with the largest share, that share, its gate with the largest, that share; "" and NaN: none."""
        table = self.parameters()
        whole = table.groupby("parameter", sort=False)["share"].sum()
        if not np.isfinite(whole).all():
            return "", math.nan, "", math.nan
        name = str(whole.idxmax())
        best = table[table["parameter"] == name].sort_values("share").iloc[-1]
        gate = str(best["gate"])
        return name, float(whole.max()), gate, float(best["share"]) if gate else math.nan

    def sequences(self) -> pd.DataFrame:
        """One row a sequence of the batch, from 0."""
        shares = self.shares
        columns = {"sequence": np.arange(len(shares.sequences)), "share": shares.sequences.numpy()}
        return pd.DataFrame({"update": self.update, **columns, "norm": shares.norms.numpy()})

    def lags(self) -> pd.DataFrame:
        """One row a lag; what is beyond the last one that was looked at stands in a row without a lag."""
        lags = self.shares.lags
        table = pd.DataFrame({"update": self.update, "lag": np.arange(len(lags.shares)), "share": lags.shares.numpy()})
        if lags.further == 0:
            return table
        return pd.concat([table, pd.DataFrame([{"update": self.update, "share": lags.further}])], ignore_index=True)

    def parameters(self) -> pd.DataFrame:
        """One row a parameter, or a gate of one."""
        rows = [(self.update, *row) for row in self.shares.parameters]
        return pd.DataFrame(rows, columns=["update", "parameter", "gate", "share"])


@dataclass(frozen=True)
class Autopsy:
    """What carried the gradient of one update, beside the updates before and after it.

    Attributes:
        run: id of the run.
        chosen: the update, and why.
        updates: those that were examined, in their order.
        probes: one row a measure, before and after the update, on its batch; empty where nothing was finite.
        made: updates that were made again, each to the bits recorded.
        place: the last update before it after which the run can be taken up; 0: its beginning.
        sentence: the chain with its numbers.
    """

    run: str
    chosen: Chosen
    updates: Sequence[Examined]
    probes: pd.DataFrame
    made: int
    place: int
    sentence: str

    @property
    def examined(self) -> Examined:
        """The update that was taken apart."""
        return self.at(self.chosen.update)

    def at(self, update: int) -> Examined:
        """One of those that were examined."""
        return next(each for each in self.updates if each.update == update)

    @property
    def sequences(self) -> pd.DataFrame:
        """Shares by sequence, of all updates examined."""
        return pd.concat([each.sequences() for each in self.updates], ignore_index=True)

    @property
    def lags(self) -> pd.DataFrame:
        """Shares by lag, of all updates examined."""
        return pd.concat([each.lags() for each in self.updates], ignore_index=True)

    @property
    def parameters(self) -> pd.DataFrame:
        """Shares by parameter and gate, of all updates examined."""
        return pd.concat([each.parameters() for each in self.updates], ignore_index=True)
