"""The updates of a finished run made once more, to the same bits, and taken apart while they are made."""

import math
import sys
from collections.abc import Sequence

import pandas as pd

from study.analysis.autopsy import Autopsy, Chosen, Examined, choose
from study.analysis.autopsy.words import sentence
from study.ask.command import pace
from study.columns import APPLIED, LOSS, RATE, SHARE, TOTAL
from study.probes.gradients import flat
from study.probes.shares import Dissection, without_dropout
from study.probes.suite import Probes
from study.reproduce.fork import beginning
from study.reproduce.replay import recorded
from study.reproduce.restore import Restored
from study.reproduce.rewind import Moment, Rewound, before, states_before
from study.schema.defaults import option
from study.schema.probe import ProbeConfig
from study.tracking.answers import forked_at
from study.tracking.reader import Logged

PROBED = ("measure", "before", "after")
"""Columns of the table of probes."""


def examine(run: Logged, restored: Restored, asked: int | None) -> Autopsy:
    """Choose an update of a run, make it once more, and take it apart, and those beside it.

    Args:
        run: that has ended.
        restored: its configuration.
        asked: the update; None: see `choose`.

    Raises:
        ConfigError: the run has no such update, or this machine does not compute what the run computed.
    """
    rows = recorded(run).astype(float)
    chosen = choose(rows[:, LOSS], rows[:, TOTAL], run.tags.get("outcome") == "diverged", asked)
    wanted = _wanted(chosen, forked_at(run), len(rows))
    print(_cost(run, wanted, len(rows)), file=sys.stderr)
    rewound = states_before(run, restored.config, wanted, beginning(run, restored.folder))
    updates, probes = [], pd.DataFrame(columns=[*PROBED])
    for update in wanted:
        with before(run, restored.config, rewound.states[update], update) as moment:
            if update == chosen.update and chosen.finite:
                examined, probes = _probed(moment, update, restored.config.task.horizon)
            else:
                examined = _taken_apart(moment, update)
            updates.append(examined)
    return _concluded(run, chosen, updates, probes, rewound)


def _wanted(chosen: Chosen, forked_at: int, made: int) -> list[int]:
    """The update, those beside it, and the one at which something happened.

    Args:
        chosen: the update.
        forked_at: updates that were made by the run that this one forks.
        made: updates of the run.
    """
    beside = {chosen.update - 1, chosen.update + 1}
    return sorted({update for update in beside if forked_at < update <= made} | {chosen.update, chosen.event})


def _cost(run: Logged, wanted: Sequence[int], made: int) -> str:
    """What it will cost, by the pace of the run itself."""
    seconds = pace(run)[1] * wanted[-1]
    return (
        f"Before the autopsy: a replay of {wanted[-1]:,} of {made:,} updates, less where a state is kept, about "
        f"{seconds:.0f} s by the run's own pace. Then {len(wanted)} updates are taken apart, and all probes run twice."
    )


def _probed(moment: Moment, update: int, horizon: int) -> tuple[Examined, pd.DataFrame]:
    """An update, and all probes on its batch before and after its step."""
    was = _measures(moment, horizon)
    examined = _taken_apart(moment, update)
    became = _measures(moment, horizon)
    rows = [(name, value, became.get(name, math.nan)) for name, value in was.items()]
    return examined, pd.DataFrame(rows, columns=[*PROBED])


def _measures(moment: Moment, horizon: int) -> dict[str, float]:
    """The scalars of all probes, as the weights are now."""
    probes = Probes(ProbeConfig(**option("probe", "full")), [moment.batch], horizon)
    probes.measure(0, moment.bptt)
    return probes.final


def _taken_apart(moment: Moment, update: int) -> Examined:
    """Make an update, and take it apart while it is made."""
    parameters = [p for p in moment.bptt.model.parameters() if p.requires_grad]
    before, dissection = flat(parameters), Dissection(moment.bptt)
    moment.make()
    row = moment.module.history.rows()[update - 1].astype(float)
    shares = moment.module.history.recorded(SHARE)
    return Examined(
        update=update,
        loss=row[LOSS],
        rate=row[RATE],
        norm=row[TOTAL],
        applied=row[APPLIED],
        shares=dissection.shares,
        step=float((flat(parameters) - before).norm() / before.norm()),
        before=dissection.before,
        after=without_dropout(moment.bptt, dissection.passages),
        broken=int((~before.isfinite()).sum()),
        share=math.nan if shares is None else float(shares[update - 1]),
    )


def _concluded(
    run: Logged, chosen: Chosen, updates: Sequence[Examined], probes: pd.DataFrame, rewound: Rewound
) -> Autopsy:
    """The result, in words too."""
    by_number = {each.update: each for each in updates}
    broken = by_number[chosen.event] if chosen.event != chosen.update else None
    was, became = (
        {str(k): float(v) for k, v in zip(probes["measure"], probes[when], strict=True)} for when in PROBED[1:]
    )
    said = sentence(chosen, by_number[chosen.update], broken, was, became)
    place = len(rewound.states[chosen.update]["history"]["rows"])
    return Autopsy(run.run_id, chosen, updates, probes, rewound.made, place, said)
