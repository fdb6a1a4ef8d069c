"""The sections of an autopsy's page."""

import math

import pandas as pd

from study.analysis.autopsy import Autopsy, Examined
from study.report.figures.autopsy import carried
from study.report.figures.picture import count_of
from study.report.pages.page import Head, Row, Section, Table, TableCell

SHOWN = 8
"""Most rows of a table of shares."""


def sections(autopsy: Autopsy, history: pd.DataFrame) -> list[Section]:
    """What carried it, the updates beside each other, and the measures before and after.

    Args:
        autopsy: of one update.
        history: every update of the run, as recorded.
    """
    made, last = count_of(autopsy.made, "update"), autopsy.updates[-1].update
    proof = f"{made} made again. All {last:,} up to the last of these are identical to those recorded, bit for bit."
    found = [Section("The updates", [proof], [_updates(autopsy)])]
    if autopsy.chosen.finite:
        shares = Section("The largest shares", tables=[_sequences(autopsy), _lags(autopsy), _parameters(autopsy)])
        measures = Section("Before and after its step", tables=[_measures(autopsy)])
        found = [Section("What carried it", pictures=[carried(autopsy, history)]), *found, shares, measures]
    return found


def _updates(autopsy: Autopsy) -> Table:
    """What happened at every update that was examined, a column each."""
    rows = [
        ("training loss", [f"{each.loss:.4g}" for each in autopsy.updates]),
        ("gradient norm", [f"{each.norm:.4g}" for each in autopsy.updates]),
        ("left by clipping", [f"{each.left:.1%}" for each in autopsy.updates]),
        ("learning rate", [f"{each.rate:.4g}" for each in autopsy.updates]),
        ("step / weights", [f"{each.step:.2g}" for each in autopsy.updates]),
        ("loss of its sequences before", [f"{each.before:.4g}" for each in autopsy.updates]),
        ("loss of its sequences after", [f"{each.after:.4g}" for each in autopsy.updates]),
        ("sequences that carry half", [_half(each) for each in autopsy.updates]),
        ("half flowed back", [_back(each) for each in autopsy.updates]),
        ("largest parameter", [_heaviest(each) for each in autopsy.updates]),
    ]
    heads = [Head(""), *(Head(f"update {each.update:,}") for each in autopsy.updates)]
    caption = "Losses of its own sequences are without dropout, by the weights before and after its step."
    return Table(heads, [_row(name, *values) for name, values in rows], caption)


def _half(each: Examined) -> str:
    count, share = each.leading
    return "" if math.isnan(share) else f"{count} of {len(each.shares.sequences)} ({share:.0%})"


def _back(each: Examined) -> str:
    steps, share = each.back
    if math.isnan(share):
        return ""
    return f"{steps} steps or more ({share:.0%})" if steps else f"none (lag 0: {float(each.shares.lags.shares[0]):.0%})"


def _heaviest(each: Examined) -> str:
    name, share, _, _ = each.heaviest
    return f"{name} ({share:.0%})" if name else ""


def _sequences(autopsy: Autopsy) -> Table:
    table = autopsy.examined.sequences().sort_values("share", ascending=False).head(SHOWN)
    rows = [_row(f"{row.sequence}", f"{row.share:.1%}", f"{row.norm:.3g}") for row in table.itertuples()]
    heads = [Head("sequence of the batch", "from 0"), Head("share"), Head("its gradient's norm", "over the whole's")]
    return Table(heads, rows, "Shares of <g_b, g> in |g|^2, g_b the gradient of the sequence's losses.")


def _lags(autopsy: Autopsy) -> Table:
    table = autopsy.examined.lags().sort_values("share", ascending=False, key=abs).head(SHOWN)
    pairs = zip(table["lag"], table["share"], strict=True)
    rows = [_row("further" if math.isnan(lag) else f"{lag:.0f}", f"{share:.1%}") for lag, share in pairs]
    return Table([Head("lag", "steps back"), Head("share")], rows, "Largest in size first.")


def _parameters(autopsy: Autopsy) -> Table:
    table = autopsy.examined.parameters().sort_values("share", ascending=False).head(SHOWN)
    rows = [_row(str(row.parameter), str(row.gate), f"{row.share:.1%}") for row in table.itertuples()]
    return Table([Head("parameter"), Head("rows of"), Head("share")], rows, "Shares of |g_p|^2 in |g|^2.")


def _measures(autopsy: Autopsy) -> Table:
    rows = [_row(str(row.measure), f"{row.before:.4g}", f"{row.after:.4g}") for row in autopsy.probes.itertuples()]
    caption = "All probes (`conf/probe/full.yaml`) on the batch of the update, by full BPTT from the initial state."
    return Table([Head("measure"), Head("before"), Head("after")], rows, caption)


def _row(*texts: str) -> Row:
    return Row([TableCell(text) for text in texts])
