"""The pictures of a single run: drawn from its tables, each that its measurements allow, also those of a broken run."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from study.figures import style
from study.probes.backpropagated import Backpropagated
from study.probes.flow import Flow
from study.probes.lyapunov import Lyapunov
from study.probes.result import ProbeResult
from study.probes.truncation import Truncation
from study.report.data.histories import load_norms
from study.report.data.runs import single
from study.report.figures.picture import Picture
from study.report.pages.run import pictures
from study.tracking.reader import Logged

OF_HISTORY = {"loss", "t-gradient-norms"}
PROFILES = {"flow-over-lag", "lyapunov-spectrum", "gradient-by-time", "truncation-bias"}


def measured(value: float) -> dict[str, ProbeResult]:
    """One measurement of every kind that has a picture of its own, all its values equal."""
    bias = np.full(3, value)
    return {
        "flow": Flow(np.full((31, 1, 1, 4), value), ["h"], "h"),
        "lyapunov": Lyapunov(np.full((4, 3), value), 20, True),
        "backpropagated": Backpropagated(np.full((30, 2, 1, 4), value)),
        "truncation": Truncation([1, 5, 20], bias, bias, 2 * bias, bias[:, None], bias[:, None]),
    }


def drawn(folder: Path, norms: Sequence[float], updates: Iterable[int], **results: ProbeResult) -> dict[str, Picture]:
    """The pictures, by name, of a run with a history of these norms, that measured the same after every update."""
    if norms:
        columns = {"loss": norms, "grad_norm/total": norms, "grad_norm/applied": np.minimum(norms, 1.5)}
        history = pd.DataFrame({"update": np.arange(1, len(norms) + 1)} | columns)
        history.to_parquet(folder / "gradients.parquet")
    for name, result in results.items():
        with np.errstate(all="ignore"):
            frames = [pd.DataFrame({"update": update} | dict(result.columns())) for update in updates]
        pd.concat(frames).to_parquet(folder / f"{name}.parquet")
    parameters = {"task.horizon": "200", "clip.threshold": "1.5"}
    run = Logged("", "", str(folder), "", "a run", "FINISHED", {"task": "t", "outcome": "completed"}, parameters, {})
    return {picture.name: picture for picture in pictures(run, single(run), load_norms(run))}


def labels(picture: Picture) -> list[str]:
    return [text.get_text() for text in picture.figure.legends[0].get_texts()]


def test_a_run_has_the_pictures_its_measurements_allow(tmp_path: Path) -> None:
    assert drawn(tmp_path, [], []) == {}
    flow = measured(0.1)["flow"]
    assert drawn(tmp_path, [1.0, 2.0], [10], flow=flow).keys() == OF_HISTORY | {"flow-over-lag"}
    over_training = {"flow-over-lag", "t-flow-over-training"}
    assert drawn(tmp_path, [1.0, 2.0], [0, 5, 10], flow=flow).keys() == OF_HISTORY | over_training


@pytest.mark.parametrize(
    ("value", "updates"), [(0.1, [7]), (-np.inf, [0, 1, 2]), (np.inf, [0, 1]), (np.nan, range(0, 90, 9))]
)
def test_every_measurement_has_its_picture_also_of_a_broken_run(
    value: float, updates: Sequence[int], tmp_path: Path
) -> None:
    found = drawn(tmp_path, [1.0 if np.isfinite(value) else np.nan], updates, **measured(value))
    several = {"decay-over-training"} if len(updates) > 1 else set()
    many = {"t-flow-over-training"} if len(updates) > 2 else set()
    assert found.keys() == OF_HISTORY | PROFILES | several | many
    for name in PROFILES:
        assert len(found[name].figure.axes[0].get_lines()) >= len(updates)
        assert sum("update" in label for label in labels(found[name])) <= style.NAMED
    nothing = "nothing finite to draw" in found["t-gradient-norms"].svg
    assert nothing == (not np.isfinite(value))


def test_what_the_new_pictures_show_is_what_was_measured(tmp_path: Path) -> None:
    """The flow of both parts together decays by 0.1 nats a step, the largest exponent is -0.2."""
    decaying = np.broadcast_to(-0.1 * np.arange(31.0)[:, None, None, None], (31, 1, 1, 4))
    results = measured(0.0) | {
        "flow": Flow(decaying.copy(), ["h"], "h"),
        "lyapunov": Lyapunov(np.tile([-0.2, -0.5], (4, 1)), 20, True),
    }
    found = drawn(tmp_path, [1.0], [0, 10], **results)
    decay = found["decay-over-training"].data
    np.testing.assert_allclose(decay[["decay", "exponent"]], [[-0.1, -0.2]] * 2)
    by_time = found["gradient-by-time"]
    assert set(by_time.data["layer"]) == {1}
    np.testing.assert_allclose(np.asarray(by_time.figure.axes[0].get_lines()[0].get_ydata(), float), 1.0)
    bias = found["truncation-bias"]
    assert labels(bias) == ["update 0", "update 10", "bound on the last", "error 1: from here on SGD need not converge"]


def test_nothing_of_a_picture_is_cut_off_by_its_edges(tmp_path: Path) -> None:
    for name, picture in drawn(tmp_path, [1.0, 2.0, np.nan], range(0, 90, 9), **measured(-0.123)).items():
        picture.figure.canvas.draw()
        box, inside = _tight(picture.figure), picture.figure.bbox
        assert inside.x0 <= box.x0, name
        assert box.x1 <= inside.x1, name
        assert inside.y0 <= box.y0, name
        assert box.y1 <= inside.y1, name


def _tight(figure: Figure) -> Any:
    return figure.get_tightbbox().transformed(figure.dpi_scale_trans)
