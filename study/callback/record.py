"""What a training of somebody else's leaves behind: tables and a page, laid out like the artifacts of our own runs."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from study.analysis.diagnosis.facts import Probed
from study.analysis.diagnosis.judge import Diagnosis
from study.disk import whole
from study.errors import ConfigError
from study.report.data.histories import load_norms
from study.report.data.runs import single
from study.report.pages.page import Page, Section
from study.report.pages.run import pictures
from study.tracking.reader import Logged
from study.training.history import History

PAGE = "report"


def flow_table(probed: Sequence[Probed]) -> pd.DataFrame | None:
    """The flow of all measurements as in `flow.parquet` of our own runs; None where there is none."""
    frames = [pd.DataFrame({"update": one.update} | dict(one.flow.columns())) for one in probed if one.flow is not None]
    return pd.concat(frames, ignore_index=True) if frames else None


def write(
    folder: Path, name: str, history: History, flow: pd.DataFrame | None, diagnosis: Diagnosis, horizon: int | None,
    notes: Sequence[str],
) -> Path:  # fmt: skip
    """Write `gradients.parquet`, `flow.parquet` and a page with its figures; return the path of the page.

    Args:
        folder: to write into.
        name: of the network.
        history: of all updates.
        flow: see `flow_table`.
        diagnosis: of the training.
        horizon: the lag at which the task needs the past; None: nobody says.
        notes: what was not measured, and why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / "gradients.parquet") as part:
        pq.write_table(history.table(), part)
    (folder / "flow.parquet").unlink(missing_ok=True)  # of an earlier training
    if flow is not None:
        with whole(folder / "flow.parquet") as part:
            pq.write_table(pa.Table.from_pandas(flow, preserve_index=False), part)
    params = {} if horizon is None else {"task.horizon": str(horizon)}
    run = Logged("", "", str(folder.resolve()), "", name, "FINISHED", {**diagnosis.tags(), "task": name}, params, {})
    found, norms = single(run), load_norms(run)
    comparison = replace(found, runs=found.runs.assign(arm=name), arms=[name])
    sections = [
        Section("Verdict", str(diagnosis).splitlines()),
        Section("Training and gradients", pictures=list(pictures(run, comparison, norms))),
    ]
    lead = f"{diagnosis.answers}; {len(history):,} updates."
    return Page(name, lead, notes, sections, {}, "").write(folder / PAGE, "run")


def keep(loggers: Sequence[Any], folder: Path, diagnosis: Diagnosis) -> None:
    """Put all files, and the answers as tags, into the run of every MLflow logger; others keep nothing.

    A store that does not take them is no reason to end a script whose training is done: it is warned of.
    """
    for logger in loggers:
        if any(kind.__name__ == "MLFlowLogger" for kind in type(logger).__mro__):  # Lightning has two packages with it
            uri, experiment = logger.experiment.tracking_uri, logger.experiment_id
            run = Logged(uri, experiment, "", logger.run_id, "", "RUNNING", {}, {}, {})
            try:
                run.log(folder, None)
                run.tag(diagnosis.tags())
            except ConfigError as error:
                warnings.warn(str(error), stacklevel=2)
