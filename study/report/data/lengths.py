"""The tests of runs at lengths they were not trained at; see `study.analysis.lengths`."""

import pandas as pd

from study.analysis.lengths import TABLE, chart
from study.report.data.comparison import Comparison, worth
from study.report.data.histories import load_all, load_table
from study.tracking.reader import Logged


def by_length(comparison: Comparison) -> pd.DataFrame:
    """The runs of a task that were tested at several lengths and not lost, below each other, by the task's measure.

    Returns:
        Columns run_id, arm, length, trained (it is that of training), value, guess (of one without memory); empty where
        no run was tested so.
    """
    measure = comparison.measure

    def load(run: Logged) -> pd.DataFrame | None:
        if chart(measure) not in run.measures:  # known without reading a file
            return None
        found = load_table(run, TABLE)
        names = {f"{measure}/test": "value", f"{measure}/baseline": "guess"}
        return None if found is None else found[["length", "trained", *names]].rename(columns=names)

    return load_all(comparison.runs[worth(comparison.runs).notna()], load)
