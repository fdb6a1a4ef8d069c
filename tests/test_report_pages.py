"""Pages from a real store: self-contained, honest about what is missing, kept with the runs they tell of."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from study.errors import ConfigError
from study.figures.norms import norm_history
from study.figures.style import panels
from study.report.__main__ import main
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms
from study.report.data.runs import gather
from study.report.figures.gradients import norm_histories
from study.report.figures.picture import Picture
from study.report.pages import run as run_page
from study.report.pages import study as study_page
from study.report.spreadsheet import read_texts
from study.schema import Config, validate
from study.tracking import sweeps, writer
from study.tracking.description import describe
from study.tracking.place import Place
from study.tracking.reader import search
from tests.composed import composed
from tests.engines import browser

UI = "http://127.0.0.1:5000"


def _study(slug: str, store: str, folder: Path) -> str:
    """Track a small study: two arms, two seeds, one of the runs diverged; a tuning trial; a failed run."""

    def config(*overrides: str) -> Config:
        return validate(composed(f"tracking.uri={store}", f"slug={slug}", *overrides))

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        parent = sweeps.open_parent(store, slug, "plan")
        for model, seed in (("elman", 0), ("elman", 1), ("lstm", 0), ("lstm", 1)):
            _track(config(f"model={model}", f"seed={seed}"), parent, "grid", 0.5 + 0.01 * seed, seed == 1)
        _track(config("model=gru", "seed=1000"), parent, "search", 0.1, False)
        with pytest.raises(RuntimeError), writer.run(describe(config("model=gru")), Place("broken", parent)):
            raise RuntimeError("no such thing")
        sweeps.close_parent(store, parent, "FINISHED", {})
    return slug


@pytest.fixture(scope="module")
def slug(store: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small study that no test adds to."""
    return _study("pages", store, tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def report(slug: str, store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page."""
    return study_page.write(slug, store, UI, tmp_path_factory.mktemp("pages") / "report", ["pdf"], kept=True)


def _track(
    config: object, parent: str, phase: str, rmse: float, diverged: bool, tags: Mapping[str, str] | None = None
) -> None:  # fmt: skip
    """A run as training would have left it."""
    norms = np.geomspace(1.0, 0.1, 40).astype(np.float32)
    if diverged:
        norms[-1] = np.inf
    columns = {
        "update": np.arange(1, 41),
        "loss": norms,
        "grad_norm/total": norms,
        "grad_norm/applied": np.minimum(norms, 0.5),
    }
    lags = {"update": 40, "of": "memory", "lag": np.arange(20), "log_phi": -0.2 * np.arange(20)}
    with writer.run(describe(config), Place("a <run>", parent, {"phase": phase, **(tags or {})})) as run:  # type: ignore[arg-type]
        measured = 1.6e6 if diverged else rmse  # as older versions logged it
        run.log_points([(20, {"rmse/val": rmse + 0.1}), (40, {"rmse/val": measured, "rmse/test": measured})])
        run.log_points([(40, {"rmse/baseline": 0.6, "run/updates": 40.0, "run/seconds": 2.0})])
        run.log_points([(0, {"weights/spectral_radius": 1.0}), (40, {"weights/spectral_radius": 1.2})])
        run.log_table(pa.table(columns), "gradients.parquet")
        run.log_table(pa.Table.from_pandas(pd.DataFrame(lags)), "flow.parquet")
        run.log_table(pa.table({"update": [0, 0, 40], "exponent": [-0.2, -0.4, 0.3]}), "lyapunov.parquet")
        run.tag({"outcome": "diverged" if diverged else "completed", "verdict": "healthy"})


def test_a_page_loads_nothing_from_elsewhere(report: Path) -> None:
    page = report.read_text()
    assert f'<a href="{UI}/#/experiments/' in page  # a link, which loads nothing by itself
    elsewhere = rf'(?:src|href)="(?!#|figures/|tables/|{UI}/#/experiments/\d+/runs\?)[^"]*"'
    assert not re.findall(elsewhere, page.replace('xlink:href="#', 'href="#'))


def test_what_was_tracked_is_shown_as_text_never_as_markup(report: Path) -> None:
    page = report.read_text()
    assert "a &lt;run&gt;" in page
    assert "a <run>" not in page


def test_only_runs_that_ended_and_were_not_tuning_count(slug: str, store: str) -> None:
    evidence = gather(store, slug)
    assert sorted(evidence.runs["outcome"]) == ["completed"] * 3 + ["diverged"] * 2 + ["failed"]
    assert set(evidence.runs.loc[evidence.runs["counts"], "arm"]) == {"elman", "lstm"}
    assert evidence.runs.loc[evidence.runs["phase"] == "search", "counts"].tolist() == [False]


def test_what_must_be_known_of_the_data_stands_above_the_answer_once(
    store: str, configure: Callable[..., object], tmp_path: Path
) -> None:
    for model in ("elman", "lstm"):
        _track(
            configure("slug=noted", f"model={model}"), "", "grid", 0.5, False, {"notes": "2 labels are new on test."}
        )
    page = study_page.write("noted", store, UI, tmp_path / "report").read_text()
    assert page.count("forecasting_stocks: 2 labels are new on test.") == 1


def test_a_diverged_run_has_no_value_but_is_counted(report: Path) -> None:
    page = report.read_text()
    assert "(1 of 2 seeds; 1 completed, 1 diverged at update 40)" in page


def test_the_measure_of_a_run_that_diverged_stands_nowhere(report: Path) -> None:
    page = report.read_text()
    assert "1.6e+06" not in page.replace("to 1.6e+06", "")  # but at the mark where its curve leaves the panel
    assert "1600000" not in page
    assert "<td>diverged</td>" in page


def test_a_sentence_about_every_arm_stands_before_everything_else(report: Path) -> None:
    above, _, below = report.read_text().partition('<section id="forecasting--forecasting-stocks">')
    assert re.findall(r"<b>(\w+)</b>: rmse ", above) == ["elman", "lstm"]
    assert above.index("<b>elman</b>") < above.index("runs in this study")
    assert below.index('id="forecasting_stocks-answer"') < below.index('id="forecasting_stocks-learning-curves"')
    assert below.index('-learning-curves"') < below.index("<table>") < below.index('-gradient-norms"')


def test_learning_curves_hold_the_training_loss_and_the_measure_on_validation(report: Path) -> None:
    data = pd.read_csv(report.parent / "figures" / "forecasting_stocks-learning-curves.csv")
    assert data.groupby("of")["run_id"].nunique().to_dict() == {"rmse on validation": 4, "training loss": 4}
    assert data.loc[data["of"] == "rmse on validation", "update"].unique().tolist() == [20, 40]


def test_runs_that_did_not_end_are_told_with_their_cause(report: Path) -> None:
    page = report.read_text()
    assert "1 run did not finish (failed)" in page
    assert "RuntimeError: no such thing" in page


def test_a_sweep_that_still_runs_has_a_page_that_says_what_is_missing(
    store: str, configure: Callable[..., object], tmp_path: Path
) -> None:  # fmt: skip
    plan = (
        "arms:\n  elman: {model: elman, budget: 10 updates}\n  lstm: {model: lstm, budget: 10 updates}\nseeds: [0, 1]\n"
    )
    parent = sweeps.open_parent(store, "under-way", plan)
    _track(configure("slug=under-way", "model=elman"), parent, "grid", 0.5, False, {"arm": "model=elman"})
    page = study_page.write("under-way", store, UI, tmp_path / "report").read_text()
    assert "The sweep is still running" in page
    assert "3 planned runs have no result yet (elman: 1 of 2 seeds; lstm: 2 of 2 seeds)." in page


def test_a_run_made_twice_counts_once_and_the_newest(
    store: str, configure: Callable[..., object], tmp_path: Path
) -> None:  # fmt: skip
    slug = _study("pages-twice", store, tmp_path)
    _track(configure(f"slug={slug}", "model=elman", "seed=0"), "", "grid", 0.3, False)
    counted = gather(store, slug).comparisons[0].arm("elman")
    assert counted.loc[counted["seed"] == 0, "value"].tolist() == [0.3]


def test_results_hold_every_run_and_every_figure_has_its_data(report: Path) -> None:
    folder = report.parent
    table = pd.read_csv(folder / "results.csv").set_index("outcome")
    ended = table.drop("failed")
    assert ended["lyapunov_start"].tolist() == [-0.2] * 5  # the largest exponent of before the first update
    assert ended["spectral_radius"].tolist() == [1.2] * 5  # that of the end
    assert table.loc["failed", ["lyapunov_start", "spectral_radius"]].isna().all()
    drawn = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert drawn == {path.stem for path in (folder / "figures").glob("*.csv")}
    assert {"forecasting_stocks-gradient-norms", "forecasting_stocks-flow-over-lag"} <= drawn


def test_every_table_lies_beside_the_page_as_csv_and_as_latex(report: Path) -> None:
    runs = read_texts(report.parent / "tables" / "runs.csv")
    assert [row["run"] for row in runs] == ["a <run>"] * 4 + ["broken · failed"]
    tex = (report.parent / "tables" / "runs.tex").read_text()
    assert tex.startswith("\\begin{tabular}")
    assert "\\midrule" in tex
    assert "forecasting\\_stocks" in tex
    linked = re.findall(r'href="((?:tables|figures)/[^"]+)"', report.read_text())
    assert {file for file in linked if not (report.parent / file).is_file()} == set()


def test_a_format_of_papers_is_written_where_it_is_asked_for_and_gone_where_it_is_not(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = list((report.parent / "figures").glob("*.pdf"))
    assert {path.stem for path in written} == {path.stem for path in (report.parent / "figures").glob("*.svg")}
    assert all(b"/FontFile2" in path.read_bytes() for path in written)
    with panels(1) as (figure, _):
        picture = Picture("p", "", "", figure, pd.DataFrame({"x": [1]}))
    assert picture.save(tmp_path, ["png"]) == ["p.svg", "p.png", "p.csv"]
    assert picture.save(tmp_path) == ["p.svg", "p.csv"]
    assert not (tmp_path / "p.png").exists()
    with pytest.raises(SystemExit, match="2"):
        main(["pages", "--formats", "jpg"])
    assert "invalid choice: 'jpg' (choose from" in capsys.readouterr().err


def test_curves_are_looked_into_without_a_network(report: Path) -> None:
    with browser() as page:
        from playwright.sync_api import expect  # late: where there is no browser, it need not be there

        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        page.locator(".explorer").scroll_into_view_if_needed()
        drawn = page.locator(".explorer .scatterlayer .trace")
        drawn.nth(3).wait_for(state="attached")
        page.locator(".explorer .legendtoggle").first.click()
        expect(drawn).to_have_count(2)  # the page lets nothing be evaluated from a text
        page.locator(".explorer").get_by_text("linear", exact=True).click()
        assert page.evaluate("document.querySelector('.explorer').layout.yaxis.type") == "linear"
        page.locator(".explorer").get_by_text("training loss", exact=True).last.click()
        page.locator(".explorer").get_by_text("applied norm", exact=True).click()
        page.evaluate("Plotly.Fx.hover(document.querySelector('.explorer'), [{curveNumber: 2, pointNumber: 0}])")
        assert page.locator(".explorer .hovertext").text_content() == "lstm, seed 0update 1: 0.5000"
        assert drawn.count() == 2
        assert asked == [report.as_uri()]


@pytest.mark.parametrize(("largest", "drawn"), [(0.5, True), (0.9, False)])
def test_a_clipping_threshold_is_drawn_where_it_bounds_the_norm_and_not_where_it_is_of_components(
    largest: float, drawn: bool
) -> None:  # fmt: skip
    row = {"arm": "elman", "outcome": "completed", "params.clip.threshold": "0.5"}
    comparison = Comparison("task", "family", "rmse", False, pd.DataFrame([row], index=["run"]), ["elman"])
    before = np.array([2.0, 0.3, np.nan])
    history = norm_history(np.arange(1, 4), before, np.minimum(before, largest))
    picture = norm_histories(comparison, {"run": Norms(history, 0.5, 1.0, 2.0)})
    assert picture is not None
    assert ("clip threshold 0.5" in picture.svg) == drawn


def test_every_mark_is_of_a_run_that_the_page_can_name(report: Path) -> None:
    page = report.read_text()
    named = json.loads(re.search(r"const runs = ({.*?});", page).group(1))  # type: ignore[union-attr]
    marked = set(re.findall(r'data-run="(\w+)"', page))
    assert marked
    assert marked <= set(named)


def test_the_report_is_kept_with_the_sweep_and_a_run_s_page_with_the_run(
    slug: str, report: Path, store: str, tmp_path: Path
) -> None:  # fmt: skip
    assert report.exists()
    runs = search(store, slug=slug)
    sweep = next(run for run in runs if run.tags.get("kind") == "sweep")
    assert "report/report.html" in set(sweep.files())
    one = next(run for run in runs if run.tags.get("phase") == "grid")
    run_page.write(one, UI, tmp_path / "run", kept=True)
    page = one.read("report/run.html")
    assert b"study.reproduce" in page
    assert all(f'id="{picture}"'.encode() in page for picture in ("loss", "forecasting_stocks-gradient-norms"))


def test_a_store_whose_artifacts_cannot_be_read_says_so_and_replaces_no_better_page(
    store: str, configure: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = sweeps.open_parent(store, "moved", "arms:\n  elman: {model: elman}\nseeds: [0]\n")
    _track(configure("slug=moved", "model=elman"), parent, "grid", 0.5, False, {"arm": "model=elman"})
    page = study_page.write("moved", store, UI, tmp_path / "report")
    whole = page.read_text()
    (run,) = [run for run in search(store, slug="moved") if "kind" not in run.tags]
    history = Path(local_file_uri_to_path(run.folder)) / "gradients.parquet"
    history.rename(tmp_path / "away.parquet")

    refused = r"rests on gradient histories that cannot be read now \(runs: 1\), so it is left.*gradients"
    with pytest.raises(ConfigError, match=refused):
        study_page.write("moved", store, UI, tmp_path / "report")
    _track(configure("slug=moved", "model=gru"), parent, "grid", 0.4, False, {"arm": "model=gru"})
    with pytest.raises(ConfigError, match=refused):  # as many histories as before, but not the same
        study_page.write("moved", store, UI, tmp_path / "report")
    assert page.read_text() == whole
    said = "Gradient histories cannot be read (runs: 1)"
    assert said in study_page.write("moved", store, UI, tmp_path / "other").read_text()
    assert said in capsys.readouterr().err

    (tmp_path / "away.parquet").rename(history)
    assert said not in study_page.write("moved", store, UI, tmp_path / "other").read_text()


def test_the_page_of_one_run_is_not_replaced_by_one_without_its_history_either(
    store: str, configure: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _track(configure("slug=moved-one", "model=elman"), "", "grid", 0.5, False)
    (run,) = search(store, slug="moved-one")
    page = run_page.write(run, UI, tmp_path)
    whole = page.read_text()
    (Path(local_file_uri_to_path(run.folder)) / "gradients.parquet").unlink()
    with pytest.raises(ConfigError, match=r"run\.html rests on gradient histories that cannot be read now"):
        run_page.write(run, UI, tmp_path)
    assert page.read_text() == whole
    said = "Gradient histories cannot be read (runs: 1)"
    assert said in run_page.write(run, UI, tmp_path / "other").read_text()
    assert said in capsys.readouterr().err


def test_a_plan_that_cannot_be_read_is_said(store: str, configure: Callable[..., object], tmp_path: Path) -> None:
    parent = sweeps.open_parent(store, "no-plan", "not: [a plan")
    _track(configure("slug=no-plan", "model=elman"), parent, "grid", 0.5, False)
    page = study_page.write("no-plan", store, UI, tmp_path / "report").read_text()
    assert "The plan of the sweep cannot be read" in page
