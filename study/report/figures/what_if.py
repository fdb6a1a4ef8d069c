"""What other clip policies would have done to a run: their limits among its norms, and when they act."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from study.analysis.diagnosis.facts import Course
from study.analysis.what_if import Replay
from study.figures.acting import draw_acting
from study.figures.norms import bucket, draw_norms, norm_history
from study.figures.style import legend_below, line_style, panels, tag_run
from study.report.figures.picture import Picture, count_of


def replayed_policies(run: str, course: Course, replays: Mapping[str, Replay]) -> Picture:
    """Norms of a run with the limit of every policy, and below when each would have acted.

    Args:
        run: its id.
        course: its updates.
        replays: by the name of the policy.
    """
    updates = np.arange(1, len(course.norms) + 1)
    limited = {name: bucket(updates, found.limit) for name, found in replays.items() if np.isfinite(found.limit).any()}
    with panels(2, columns=1, height=2.2 + 0.12 * len(replays), sharey=False) as (figure, (above, below)):
        draw_norms(above, {run: norm_history(updates, course.norms, course.applied)}, None)
        for place, (name, (at, (_, middle, _))) in enumerate(limited.items(), 2):  # the first two are the norms'
            tag_run(run, above.plot(at, middle, lw=1, label=f"limit of {name}", **line_style(place)))
        draw_acting(below, {name: found.found for name, found in replays.items()})
        legend_below(figure)
    return Picture(
        "what-if",
        "Limits among the norms, and when each policy would have acted",
        f"Above: 2-norm of the gradient at every update of {count_of(len(updates), 'update')}, median over buckets of "
        "consecutive ones, shaded from the smallest to the largest; the median of the limit that each policy would "
        "have had in force, of those that limit the norm of the whole gradient; limits outside of the range of the "
        "norms are not seen. Below: the darker, the more updates of the bucket each policy would have acted in; "
        "nothing where it would have let all pass.",
        figure,
        pd.DataFrame({"update": updates, "norm": course.norms, "applied": course.applied}).assign(
            **{f"limit of {name}": found.limit for name, found in replays.items()},
            **{f"acted: {name}": found.found for name, found in replays.items()},
        ),
    )
