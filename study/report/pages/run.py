"""The page of a single run: its verdict, its gradients, what it is and how to make it again."""

from pathlib import Path

from study.errors import ConfigError
from study.report.data.histories import norms
from study.report.data.runs import single
from study.report.figures import gradients
from study.report.figures import probes as across
from study.report.figures import run as training
from study.report.pages.page import Block, Cell, Head, Page, Row, Section, Table
from study.tracking.reader import Logged, find


def write(wanted: str, uri: str, ui: str, folder: Path) -> Path:
    """Write the page of a run and keep it with that run.

    Args:
        wanted: the run's id, the start of it, or its name.
        uri: of the MLflow store.
        ui: where the MLflow UI answers, for links.
        folder: to write into.

    Raises:
        ConfigError: no run is meant by this, or several.
    """
    found = find(uri, wanted)
    if len(found) != 1:
        raise ConfigError(f"RUN = {wanted!r}: these are {len(found)} runs; give the id of one")
    run = found[0]
    path = _page(run, ui).write(folder, "run")
    run.keep(folder, "report")
    return path


def _page(run: Logged, ui: str) -> Page:
    comparison = single(run)
    history, row = norms(run), comparison.runs.iloc[0]
    flow = gradients.flow_data(comparison)
    drawn = (
        training.loss_history(run),
        gradients.norm_histories(comparison, {} if history is None else {run.run_id: history}),
        gradients.flow_over_lag(comparison, flow),
        gradients.flow_heat(comparison, flow),
        training.spectra(run),
        across.truncation_bias(comparison),
    )
    told = str(row["note"] or row["error"] or "This run has not come to an end.").replace("**", "")
    sections = [
        Section("Verdict", [told]),
        Section("Training and gradients", pictures=[picture for picture in drawn if picture is not None]),
        Section("Numbers", tables=[_numbers(run)]),
        Section("This run", blocks=_definition(run)),
    ]
    names = {run.run_id: (run.name, run.experiment)}
    return Page(run.name, f"{row['outcome']}; run {run.run_id}.", [], sections, names, ui)


def _numbers(run: Logged) -> Table:
    rows = [Row([Cell(key), Cell(f"{value:.6g}")]) for key, value in sorted(run.measures.items())]
    return Table(
        [Head("key"), Head("last value")], rows, "The last value of every metric; charts of them are in MLflow."
    )


def _definition(run: Logged) -> list[Block]:
    """How to make it again, and its configuration."""
    again = Block("Make it again", f"python -m study.reproduce {run.run_id} --store {run.uri}", open=True)
    parameters = "\n".join(f"{key}: {value}" for key, value in sorted(run.params.items()))
    return [again, Block("Configuration", parameters)]
