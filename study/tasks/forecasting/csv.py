"""The user's own table: a column of times, columns to predict, columns that help."""

from study.data import located
from study.data.tables.table import TableKeys, read_table
from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingCSVConfig as Config
from study.tasks.forecasting.family import Forecasting, Tables, chronological, look_ahead, share_ends


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
