"""What MLflow's UI shows of an experiment at first: its runs in a flat table of answers, the charts asked for most.

The UI reads a view from a tag of the experiment when its address names one. Without, a first visit opens the menu for
language models, folds all runs of a sweep under one row without any answer, and draws nothing. The format is that of
MLflow 3.17's frontend; `tests/test_sweep_engines.py` looks at it in a browser. Imports no MLflow.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

KEY = "study"
TAG = f"mlflow.sharedViewState.{KEY}"
"""Experiment tag that holds the view."""
MEASURES = "measures"
"""Experiment tag with the measures that rank its runs, one for each kind of task."""
SHARED = "skill/opponent"
"""The measure that runs of all tasks have: the share of the best opponent's error that the network does without."""
ANSWERS = {"outcome": 90, "verdict": 90, "cause": 75, "model": 60, "clip": 55, "k2": 45}
"""Tags shown as columns, and their widths in pixels."""
CHARTS = {
    "loss": ("train", "val"),
    "grad_norm": ("total", "applied"),
    "flow": ("half_life", "horizon"),
}
"""Sections of charts in their order; those of the remaining metrics follow."""
LOGARITHMIC = ("grad_norm",)


def address(ui: str, experiment: str, charts: bool = False) -> str:
    """Return the address of the view of an experiment, by its id; its chart view, or its table."""
    page = f"{ui}/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"
    return f"{page}&compareRunsMode=CHART" if charts else page


def updated(tags: dict[str, str], measure: str) -> dict[str, str]:
    """Return the experiment tags to set so that the view has a measure; none if it has it.

    Args:
        tags: of the experiment.
        measure: that ranks a run about to start.
    """
    known = tags.get(MEASURES, "").split()
    if measure in known and TAG in tags:
        return {}
    measures = list(dict.fromkeys([*known, measure]))
    return {MEASURES: " ".join(measures), TAG: json.dumps(_state(measures))}


def _state(measures: Sequence[str]) -> dict[str, Any]:
    """The view: one measure of its own beside the shared one; metrics stand before the answers and push them out."""
    own = [f"{measure}/test" for measure in measures] if len(measures) == 1 else []
    columns = {
        **{f"metrics.`{key}`": 75 for key in (*own, SHARED)},
        **{f"tags.`{key}`": w for key, w in ANSWERS.items()},
    }
    return {
        "orderByKey": f"metrics.`{SHARED}`",  # any order but by time: sorted by time, runs are folded under the sweep's
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": columns,
        "compareRunSections": [_section(name) for name in CHARTS],
        "compareRunCharts": [chart for name, keys in CHARTS.items() for chart in _charts(name, keys)],
        "isAccordionReordered": True,
    }


def _section(name: str) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": True}


def _charts(section: str, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    for key in keys:
        yield {
            "type": "LINE",
            "uuid": f"{section}/{key}",
            "metricSectionId": section,
            "metricKey": f"{section}/{key}",
            "displayName": f"{section}/{key}",
            "scaleType": "log" if section in LOGARITHMIC else "linear",
            "xAxisKey": "step",
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
            "runsCountToCompare": 10,
            "deleted": False,
            "isGenerated": False,
        }
