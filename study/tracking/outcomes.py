"""Words of the tag `outcome`, which says how a run ended, and stands at the end of its name. No MLflow here.

Runs that were ended from outside, or by an error, have no diagnosis: they are `pruned`, `killed` or `failed`.
"""

import re
from typing import Literal, get_args

Finished = Literal["solved", "ahead", "completed", "learned nothing", "ruined"]
"""The run made all its updates, and its network is one to measure (see `study.analysis.diagnosis`)."""
Outcome = Literal[Finished, "diverged"]

FINISHED: tuple[str, ...] = get_args(Finished)
LOST: tuple[str, ...] = ("diverged", "ruined")
"""Runs whose networks are destroyed: means leave them out, and they lose every comparison."""
ENDED: tuple[str, ...] = (*FINISHED, "diverged")
"""Outcomes that are results; those of older versions are `completed` and `diverged`."""
ENDS = re.compile(rf" · ({'|'.join([*ENDED, 'pruned', 'killed', 'failed'])})( \([^)]*\))?$")
"""The end of the name of a run that has ended."""


def format_ending(outcome: str, cause: str = "none") -> str:
    """An outcome, with its cause in brackets where there is one."""
    return outcome if cause == "none" else f"{outcome} ({cause})"


def with_ending(name: str, ending: str) -> str:
    """The name of a run that has ended: `elman no clip s0 · diverged (step size)`."""
    return f"{without_ending(name)} · {ending}"


def without_ending(name: str) -> str:
    """The name that a run was started with."""
    return ENDS.sub("", name)
