"""The chain in one sentence: what happened to the norm, what carried the gradient, what its step did.

Only what was measured is said. That something carried a gradient does not say why it grew.
"""

import math
from collections.abc import Iterator, Mapping

from study.analysis.autopsy.choice import Chosen
from study.analysis.autopsy.examined import Examined
from study.analysis.diagnosis.thresholds import LEAP, SPIKE

FEW = 4
"""Half of a gradient in at most one in so many sequences of its batch is concentrated."""
ALIKE = 0.999
"""A gradient whose cosine with another is larger is the same one."""
SHARPNESS = "sharpness/of_limit"
"""The measure that the sentence names before and after the update."""


def sentence(
    chosen: Chosen, examined: Examined, broken: Examined | None, before: Mapping[str, float], after: Mapping[str, float]
) -> str:
    """What happened, in one sentence.

    Args:
        chosen: the update, and why.
        examined: of it.
        broken: of the update that left the finite numbers, where that is another one.
        before: measures on its batch before its step.
        after: after it.
    """
    if not chosen.finite:
        return (
            f"{_event(chosen, examined, None)}, and no update before it was finite: there is no gradient to take apart."
        )
    carried, done = ", ".join(_carriers(examined)), "; ".join(_consequences(examined, before, after))
    return f"{_event(chosen, examined, broken)}: {carried}; {done}."


def _event(chosen: Chosen, examined: Examined, broken: Examined | None) -> str:
    """What happened to the norm."""
    at = f"update {examined.update:,}"
    level = examined.norm / chosen.ratio
    norm = f"the gradient norm was {examined.norm:.3g}"
    times = f"{norm}, {_times(chosen.ratio)} its level ({level:.2g})" if math.isfinite(chosen.ratio) else norm
    if chosen.event != chosen.update or not chosen.finite:
        assert broken is not None or not chosen.finite
        lost = (
            f"At update {chosen.event:,} the loss or its gradient left the finite numbers{_where(broken or examined)}"
        )
        return lost if not chosen.finite else f"{lost}. At {at}, the last finite one before, {times}"
    if chosen.why == "diverged":
        risen = f"; it had risen {LEAP:g}-fold by update {chosen.risen:,}" if chosen.risen else ""
        return f"At {at} the run diverged, its loss {examined.loss:.3g}{risen}; {times}"
    if chosen.why == "spike":
        leapt = f"leapt to {_times(chosen.ratio)} its level ({examined.norm:.3g}, from {level:.2g})"
        return f"At {at} the gradient norm {leapt}"
    if chosen.why == "loss":
        return f"The loss leapt {LEAP:g}-fold at update {chosen.risen:,}, after the step of {at}, where {times}"
    if chosen.why == "largest":
        return f"Nothing stands out (no norm above {SPIKE:g} times its level): at {at}, where it was highest, {times}"
    return f"At {at} {times}"


def _where(broken: Examined) -> str:
    """Where the first number was that is not finite."""
    if broken.broken:
        return f" ({broken.broken:,} weights were not finite by then)"
    lost = broken.shares.lost
    if not lost:
        return " (its outputs were finite, so they were lost in the loss or on the way back)"
    first, total = min(lost.values()), len(broken.shares.sequences)
    return f" (all weights were finite; outputs were not, of {len(lost)} of {total} sequences, first {first} steps in)"


def _carriers(examined: Examined) -> Iterator[str]:
    """What carried the gradient: sequences, lags, parameters."""
    if examined.norm == 0:
        yield "nothing carries it, for it is zero"
        return
    yield _sequences(examined)
    yield _lags(examined)
    name, share, gate, best = examined.heaviest
    yield f"{share:.0%} is in {name}" + (f" ({gate} rows {best:.0%})" if gate else "")


def _sequences(examined: Examined) -> str:
    total, (count, carried) = len(examined.shares.sequences), examined.leading
    rest = examined.shares.rest
    added = f" (the regularizer {rest:.0%})" if abs(rest) >= 0.005 else ""
    if total == 1:
        return f"the one sequence of the batch carries it{added}"
    if count <= max(1, total // FEW):
        noun = "sequences carries" if count == 1 else "sequences carry"
        against = ", others pull against it" if carried > 1.005 else ""
        return f"{count} of {total} {noun} {carried:.0%} of it{against}{added}"
    most = float(examined.shares.sequences.max())
    return (
        f"it is spread over its {total} sequences (the largest share is {most:.0%}, a fair one {1 / total:.0%}){added}"
    )


def _lags(examined: Examined) -> str:
    steps, share = examined.back
    likeness = examined.shares.likeness
    other = "" if likeness > ALIKE else f" (of a gradient whose cosine with the one made is {likeness:.2f})"
    if steps == 0:
        own = float(examined.shares.lags.shares[0])
        return f"{own:.0%} of it is of the step of the loss itself, not of earlier ones{other}"
    return f"{share:.0%} of it flowed back {steps} step{'' if steps == 1 else 's'} or more{other}"


def _consequences(examined: Examined, before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[str]:
    """What clipping left, what the step did."""
    was, became = before.get(SHARPNESS, math.nan), after.get(SHARPNESS, math.nan)
    if math.isfinite(was):
        yield f"sharpness times rate was {_number(was)} of its limit before and {_number(became)} after"
    yield _clipped(examined)
    step = f"its step was {_number(examined.step)} of the norm of the weights"
    yield f"{step}, and the loss on these sequences went from {examined.before:.3g} to {examined.after:.3g}"


def _clipped(examined: Examined) -> str:
    """What clipping did; a policy that acts on the way back leaves no longer norm to compare with."""
    if examined.left < 1:
        return f"clipping left {examined.left:.0%}"
    if examined.share > 0:
        return f"clipping had changed {examined.share:.0%} of what it looks at on the way back"
    return "it was not clipped"


def _times(ratio: float) -> str:
    return f"{_number(ratio)} times"


def _number(value: float) -> str:
    """Two digits; whole numbers of up to six in full."""
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.2g}"
