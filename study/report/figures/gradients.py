"""Pictures of gradients, one task at a time: norms over updates, flow over lags, both over training."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from study.analysis.diagnosis import EXPLODED, VANISHED
from study.figures.style import (
    AFTER,
    BEFORE,
    INK,
    Marks,
    Picture,
    decades,
    entitle,
    legend_below,
    line_style,
    panels,
    render,
    styled,
)
from study.report.data.histories import Norms, flows, gathered
from study.report.data.runs import Comparison

PANELS = 24
"""Arms with a panel of their own; the best ones, if there are more."""
OVERLAID = 12
"""Arms in one panel; the best ones, if there are more."""
FLOOR, CEILING = -12.0, 6.0
"""log10 of the shares of the gradient that are drawn; what lies beyond is drawn there."""


def norm_histories(comparison: Comparison, histories: dict[str, Norms]) -> Picture | None:
    """Gradient norms of every run, a panel an arm."""
    arms = [arm for arm in comparison.arms if any(run in histories for run in comparison.arm(arm).index)]
    if not arms:
        return None
    shown, marks = arms[:PANELS], Marks()
    figure, grid = panels(len(shown))
    with styled():
        for axes, arm in zip(grid, shown, strict=True):
            mine = comparison.arm(arm)
            _norm_panel(axes, mine, {run: histories[run] for run in mine.index if run in histories}, marks)
            entitle(axes, arm)
            axes.set_xlabel("update")
        decades(grid[0], *_norm_range(comparison, histories))
        grid[0].set_ylabel("gradient norm")
        legend_below(figure, max(grid, key=lambda axes: len(set(axes.get_legend_handles_labels()[1]))))
    runs = sum(run in histories for arm in shown for run in comparison.arm(arm).index)
    return Picture(
        f"{comparison.task}-gradient-norms",
        "Gradient norms, before and after clipping",
        f"2-norm of the whole gradient at every update, {_runs(runs)}, a panel an arm{_left_out(shown, arms)}. Lines: "
        "median over buckets of updates, one line a run; shaded: from the smallest to the largest norm of any update, "
        "so no spike is hidden (runs that diverged may leave the panel at the top). Orange: as the optimizer got it, "
        "where clipping acted. Crosses at the top: updates whose norm was not finite.",
        render(figure),
        _norm_data(comparison, {run: h for run, h in histories.items() if comparison.runs.at[run, "arm"] in shown}),
    )


def flow_over_lag(comparison: Comparison, data: pd.DataFrame) -> Picture | None:
    """What is left of the gradient of one step's loss by lag, arms overlaid; early, midway and at the end.

    Args:
        comparison: the task.
        data: of `flow_data`.
    """
    if data.empty:
        return None
    arms = _arms(comparison, data)
    shown = arms[:OVERLAID]
    moments = _moments(data[data["arm"].isin(shown)])
    found = set(moments["moment"])
    titles = [t for t in ("early", "midway", "end") if t in found]
    figure, grid = panels(len(titles), height=3.4)
    horizon, marks = _horizon(comparison), Marks()
    with styled():
        for axes, title in zip(grid, titles, strict=True):
            here = moments[moments["moment"] == title]
            for place, arm in enumerate(shown):
                for position, (run, profile) in enumerate(here[here["arm"] == arm].groupby("run_id")):
                    label = arm if position == 0 else None
                    marks(
                        str(run), axes.plot(profile["lag"], _shares(profile), lw=1.3, label=label, **line_style(place))
                    )
            axes.axhspan(10**FLOOR, VANISHED, color=INK, alpha=0.05, lw=0)
            axes.set(yscale="log", xlabel="lag (steps back)", title=_when(title, here))
            if horizon is not None:
                axes.axvline(horizon, color=INK, lw=1, ls=(0, (1, 1)), label=f"horizon of the task: {horizon} steps")
        grid[0].set(ylabel="share of the gradient at lag 0", ylim=_limits(moments))
        legend_below(figure, grid[-1])
    runs = moments["run_id"].nunique()
    return Picture(
        f"{comparison.task}-flow-over-lag",
        "Gradient flow: how far back one step's loss reaches",
        "Norm of the gradient of one step's loss with respect to the memory (an LSTM's c, else h) of all layers k "
        f"steps before it, over that at k = 0, {_runs(runs)}, one line a run{_left_out(shown, arms)}. Shaded: less "
        f"than {VANISHED:.0%} is left: vanishing, if it is so at the horizon that the task states; above "
        f"{EXPLODED:g}: exploding.",
        render(figure),
        moments,
    )


def flow_heat(comparison: Comparison, data: pd.DataFrame) -> Picture | None:
    """Flow as a map, lag by update, a panel an arm: where in training gradients begin or cease to reach back."""
    times = data.groupby("run_id")["update"].nunique() if len(data) else pd.Series(dtype=int)
    data = data[data["run_id"].isin(times.index[times > 2])] if len(data) else data
    if data.empty:
        return None
    arms = _arms(comparison, data)
    shown = arms[:PANELS]
    data = data[data["arm"].isin(shown)]
    figure, grid = panels(len(shown))
    with styled():
        for axes, arm in zip(grid, shown, strict=True):
            image = _heat_panel(axes, data[data["arm"] == arm], _horizon(comparison))
            entitle(axes, arm)
            axes.set_xlabel("update")
        grid[0].set_ylabel("lag (steps back)")
        figure.colorbar(image, ax=grid, label="log10 of the share of lag 0", shrink=0.8, pad=0.01)
    return Picture(
        f"{comparison.task}-flow-over-training",
        "Gradient flow over training",
        "log10 of the share of the gradient left k steps back, mean over each arm's runs "
        f"({_runs(data['run_id'].nunique())} in all), at the updates it was measured at, one column each"
        f"{_left_out(shown, arms)}. White line: the horizon that the task states.",
        render(figure),
        data,
    )


def _arms(comparison: Comparison, data: pd.DataFrame) -> list[str]:
    """The arms that there are data of, the best first."""
    found = set(data["arm"])
    return [arm for arm in comparison.arms if arm in found]


def flow_data(comparison: Comparison) -> pd.DataFrame:
    """Flow of every run that has it: run_id, arm, update, lag, log_share."""
    return gathered(comparison.runs, flows)


def _norm_panel(axes: Axes, mine: pd.DataFrame, histories: dict[str, Norms], marks: Marks) -> None:
    """One arm."""
    for run, history in histories.items():
        axes.fill_between(history.updates, history.before[0], history.before[2], color=BEFORE, alpha=0.2, lw=0)
        marks(run, axes.plot(history.updates, history.before[1], color=BEFORE, lw=1, label="before clipping"))
        if (acted := _acted(history)).any():
            low, middle, high = np.where(acted, history.after, np.nan)
            axes.fill_between(history.updates, low, high, where=acted, color=AFTER, alpha=0.2, lw=0)
            marks(run, axes.plot(history.updates, middle, color=AFTER, lw=1, ls="--", label="as applied"))
        if len(history.lost):
            crosses = axes.plot(
                history.lost, np.full(len(history.lost), 0.97), "x", color=INK, ms=5, clip_on=False,
                transform=axes.get_xaxis_transform(), label="not finite",
            )  # fmt: skip
            marks(run, crosses)
    threshold = pd.to_numeric(mine["params.clip.threshold"].iloc[0]) if "params.clip.threshold" in mine else np.nan
    if np.isfinite(threshold):
        axes.axhline(threshold, color=INK, lw=1, ls=(0, (1, 1)), label="threshold")


def _acted(history: Norms) -> np.ndarray:
    """The buckets in which clipping changed something, and their neighbours, so that no bucket stands alone."""
    changed = np.pad((history.after < history.before).any(0), 1)
    return changed[:-2] | changed[1:-1] | changed[2:]


def _norm_range(comparison: Comparison, histories: dict[str, Norms]) -> tuple[float, float]:
    """From the smallest to the largest norm drawn, of the runs that did not diverge if there are any."""
    completed = set(comparison.runs.index[comparison.runs["outcome"] == "completed"])
    ranging = [h for run, h in histories.items() if run in completed] or list(histories.values())
    values = np.concatenate([x.ravel() for h in ranging for x in (h.before, h.after)])
    drawn = values[np.isfinite(values)]
    return (0.9 * drawn.min(), 1.1 * drawn.max()) if len(drawn) else (0.1, 1.0)


def _heat_panel(axes: Axes, data: pd.DataFrame, horizon: int | None) -> AxesImage:
    """One arm; columns are probe times."""
    drawn = data.assign(share=np.clip(data["log_share"] / np.log(10), FLOOR, CEILING))
    table = drawn.pivot_table(index="lag", columns="update", values="share", aggfunc="mean")
    image = axes.imshow(
        table, origin="lower", aspect="auto", cmap="cividis", vmin=-6, vmax=2, interpolation="nearest"
    )  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    step = -(-len(table.columns) // 6)
    axes.set_xticks(range(0, len(table.columns), step), [str(u) for u in table.columns[::step]])
    axes.grid(visible=False)
    if horizon is not None:
        axes.axhline(horizon, color="white", lw=1)
    return image


def _moments(data: pd.DataFrame) -> pd.DataFrame:
    """Of every run its first, its middle and its last measured profile, as far as it has several."""
    return pd.concat([part for _, run in data.groupby("run_id") for part in _three(run)], ignore_index=True)


def _three(run: pd.DataFrame) -> Iterator[pd.DataFrame]:
    updates = sorted(run["update"].unique())
    chosen = {"early": updates[0], "midway": updates[len(updates) // 2], "end": updates[-1]}
    for moment in ("early", "midway", "end") if len(updates) > 2 else ("end",):
        yield run[run["update"] == chosen[moment]].assign(moment=moment)


def _when(title: str, here: pd.DataFrame) -> str:
    updates = sorted(here["update"].unique())
    span = f"update {updates[0]}" if len(updates) == 1 else f"updates {updates[0]} to {updates[-1]}"
    return f"{'end of training' if title == 'end' else title} ({span})"


def _shares(profile: pd.DataFrame) -> np.ndarray:
    """Drawable shares; zero gradients lie on the floor, those that are not finite leave a gap."""
    return np.power(10.0, np.clip(profile["log_share"].to_numpy() / np.log(10), FLOOR, CEILING))


def _limits(moments: pd.DataFrame) -> tuple[float, float]:
    """The decades that hold all finite shares, and the share that counts as vanished."""
    shares = _shares(moments[np.isfinite(moments["log_share"])])
    low, high = np.log10(min([*shares, VANISHED / 10])), np.log10(max([*shares, 1.0]))
    return float(10 ** np.floor(low)), float(10 ** np.ceil(high + 0.05))


def _horizon(comparison: Comparison) -> int | None:
    """The lag at which the task asks for the past, if all runs agree on it."""
    stated = comparison.runs.get("params.task.horizon")
    return int(stated.iloc[0]) if stated is not None and stated.nunique() == 1 else None


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _left_out(shown: list[str], arms: list[str]) -> str:
    return f" (the best {len(shown)} of {len(arms)} arms)" if len(shown) < len(arms) else ""


def _norm_data(comparison: Comparison, histories: dict[str, Norms]) -> pd.DataFrame:
    """The buckets as a table."""
    names = ("smallest", "median", "largest")
    parts = [
        pd.DataFrame({"run_id": run, "arm": comparison.runs.at[run, "arm"], "update": h.updates})
        .assign(**{f"before_{name}": h.before[i] for i, name in enumerate(names)})
        .assign(**{f"after_{name}": h.after[i] for i, name in enumerate(names)})
        for run, h in histories.items()
    ]
    return pd.concat(parts, ignore_index=True)
