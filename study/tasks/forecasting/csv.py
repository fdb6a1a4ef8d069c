"""The user's own table: a column of times, columns to predict, columns that help."""

from pathlib import Path

import pandas as pd

from study.data import located
from study.data.tables.table import TableKeys, read_table
from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingCSVConfig as Config
from study.tasks.forecasting.family import Forecasting, Tables, chronological, look_ahead, share_ends
from study.tasks.forecasting.scaling import Scaling


def load_csv(config: Config, data: DataConfig) -> Tables:
    """Rows in the order of their times, split by shares; a value is forecast by itself and by the other columns."""
    path = located("task.path", config.path)
    frame, _, columns, notes = read_table(path, TableKeys(**config.reading))
    ends = share_ends(frame.index, config)
    targets = look_ahead(frame, columns, config.ahead)
    return Tables({path.name: chronological(frame, ends, max(config.ahead))}, targets, str(path), notes)


class CSV(Forecasting):
    """The user's own table."""

    load = staticmethod(load_csv)

    @classmethod
    def table(cls, config: Config, source: Path | pd.DataFrame, learnt: Scaling) -> pd.DataFrame:
        """See `Forecasting`; a file or a table with the columns of the training file."""
        targets = list(dict.fromkeys(target.series for target in learnt.known.values()))
        if isinstance(source, Path):
            beside = [name for name in learnt.features if name not in targets]
            how = TableKeys(**config.reading | {"targets": targets, "features": beside})
            frame = read_table(located("data", str(source)), how).frame
        else:
            timed = isinstance(config.date, str) and config.date in source
            frame = super().table(config, source.set_index(config.date) if timed else source, learnt).copy()
        look_ahead(frame, targets, config.ahead)
        return frame
