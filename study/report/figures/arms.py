"""What the pictures of a page have in common: the look of every arm, and which arms a picture leaves out."""

from collections.abc import Collection, Sequence

import pandas as pd

from study.report.data.comparison import Comparison
from study.report.data.wording import format_span

OVERLAID = 12
"""Most arms in one panel: the best ones."""
NAMED = 24
"""Most arms named in one sentence."""


def choose(comparison: Comparison, found: Collection[str], most: int, lack: str) -> tuple[list[str], str]:
    """The arms a picture shows, the best first, and a sentence that names those it leaves out and says why.

    Args:
        comparison: of the task.
        found: the arms that have something to show.
        most: arms the picture has room for.
        lack: what the others have not, such as `no flow was measured`.

    Returns:
        The arms, and the sentence with a blank before it; empty where all arms are shown.
    """
    shown = [arm for arm in comparison.arms if arm in found]
    without = [arm for arm in comparison.arms if arm not in found]
    return shown[:most], left_out({lack: without, f"not among the best {most}": shown[most:]})


def measured_when(comparison: Comparison, updates: pd.Series) -> str:
    """A sentence on runs that diverged and so were measured for the last time before the others; empty without any.

    Args:
        comparison: of the task.
        updates: of the last measurement, by run id.
    """
    runs = comparison.runs.loc[updates.index]
    early = runs[runs["outcome"] == "diverged"]
    if early.empty:
        return ""
    ended = {arm: [int(n) for n in updates[mine.index]] for arm, mine in early.groupby("arm", sort=False)}
    listed = ", ".join(f"{arm} ({format_span(ended[arm])})" for arm in comparison.arms if arm in ended)
    return f" Runs that diverged were measured for the last time at: {listed}."


def left_out(arms: dict[str, Sequence[str]]) -> str:
    """A sentence that names arms that are not drawn, by the reason; empty where there are none."""
    reasons = [f"{_listed(names)} ({reason})" for reason, names in arms.items() if names]
    return f" Left out: {'; '.join(reasons)}." if reasons else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
