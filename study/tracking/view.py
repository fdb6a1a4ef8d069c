"""What MLflow's UI shows of an experiment at first: its runs in a flat table of answers, the charts asked for most.

The UI reads a view from a tag of the experiment when its address names one. Without, a first visit opens the menu for
language models, folds all runs of a sweep under one row without any answer, and draws nothing. The format is that of
MLflow 3.17's frontend; `tests/test_sweep_engines.py` looks at it in a browser. Imports no MLflow.
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from study.installation import about, door
from study.tracking import uri

KEY = "study"
TAG = f"mlflow.sharedViewState.{KEY}"
"""Experiment tag that holds the view."""
MEASURES = "measures"
"""Experiment tag with the measures that rank its runs, one for each kind of task."""
SHARED = "skill/opponent"
"""The measure that runs of all tasks have: the share of the best opponent's error that the network does without."""
ROOM = 1113
"""Pixels for columns that need no scrolling, in a window of 1440."""
ANSWERS = {"outcome": 125, "verdict": 110, "cause": 85, "model": 72, "clip": 72, "k2": 48}
"""Tags shown as columns, and their widths in pixels."""
MOST = 3
"""Measures of their own for which there is room; of more only the shared one is shown."""
NAME, CREATED = "attributes.`Run Name`", "runDateAndNestInfo"
"""Columns that the table always has first."""
CHARTS = {
    "loss": ("train", "val"),
    "grad_norm": ("total", "applied"),
    "flow": ("half_life", "horizon"),
}
"""Sections of charts in their order; those of the remaining metrics follow."""
LOGARITHMIC = ("loss", "grad_norm")
"""Sections of values that span decades where a run diverges."""
PICTURES = "Its pictures: "
"""How the last line of a run's description begins."""


def address(ui: str, experiment: str, run: str = "", charts: bool = False) -> str:
    """Return the address of the view of an experiment, by its id: its charts, or its table; or of one of its runs."""
    page = f"{ui}/#/experiments/{experiment}/runs"
    if run:
        return f"{page}/{run}?workflowType=machine_learning"
    return f"{page}?workflowType=machine_learning&viewStateShareKey={KEY}{'&compareRunsMode=CHART' if charts else ''}"


def where(store: str, experiment: str, run: str = "") -> str:
    """Say where an experiment or a run is seen: its address, and before it what to type where that needs a server."""
    found = address(uri.ui(store), experiment, run)
    return found if store.startswith("http") else f"`{door('ui')}`, then {found}"


def pictures(run_id: str, store: str = "") -> str:
    """Say how the pictures of a run are drawn.

    Args:
        run_id: of MLflow.
        store: that it lies in, named where commands would look into another one; empty: the reader is there.
    """
    elsewhere = f"--store {shlex.quote(store)}" if store not in ("", uri.address()) else ""
    return f"{PICTURES}`{about('report', change=elsewhere, run=run_id)}`."


def without_pictures(description: str) -> str:
    """The description of a run for its page, which has the pictures."""
    return description.partition(f"\n\n{PICTURES}")[0]


def updated(tags: dict[str, str], measure: str) -> dict[str, str]:
    """Return the experiment tags to set so that it has this version's view with a measure; none if it has it.

    Args:
        tags: of the experiment.
        measure: that ranks a run about to start.
    """
    measures = list(dict.fromkeys([*tags.get(MEASURES, "").split(), measure]))
    wanted = {MEASURES: " ".join(measures), TAG: json.dumps(_state(measures))}
    return wanted if wanted.items() - tags.items() else {}


def _state(measures: Sequence[str]) -> dict[str, Any]:
    """The view: the measures of its tasks, the shared one, and the answers."""
    columns, fixed = _columns(measures)
    return {
        "orderByKey": f"metrics.`{SHARED}`",  # any order but by time: sorted by time, runs are folded under the sweep's
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "columnOrder": [*fixed, *columns],
        "columnWidths": fixed | columns,
        "compareRunSections": [_section(name) for name in CHARTS],
        "compareRunCharts": [chart for name, keys in CHARTS.items() for chart in _charts(name, keys)],
        "isAccordionReordered": True,
    }


def _columns(measures: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Columns with their widths in pixels: those chosen, and those there always; names of runs get what is left.

    Where several tasks need room, the time of a run's start makes it.
    """
    own = measures if len(measures) <= MOST else ()
    wide = len(own) == 1
    chosen = {f"metrics.`{measure}/test`": 85 if wide else 72 for measure in own}
    chosen |= {f"metrics.`{SHARED}`": 110} | {f"tags.`{key}`": width for key, width in ANSWERS.items()}
    created = 115 if wide or not own else 42
    return chosen, {NAME: ROOM - created - sum(chosen.values()), CREATED: created}


def _section(name: str) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": True}


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
