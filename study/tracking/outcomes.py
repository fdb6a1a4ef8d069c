"""Words of the tag `outcome`, which says how a run ended. No MLflow here.

Runs that were ended from outside, or by an error, have no diagnosis: they are `pruned`, `killed` or `failed`.
"""

from typing import Literal, get_args

Finished = Literal["solved", "ahead", "completed", "learned nothing", "ruined"]
"""The run made all its updates, and its network is one to measure (see `study.analysis.diagnosis`)."""
Outcome = Literal[Finished, "diverged"]

FINISHED: tuple[str, ...] = get_args(Finished)
LOST: tuple[str, ...] = ("diverged", "ruined")
"""Runs whose networks are destroyed: means leave them out, and they lose every comparison."""
ENDED: tuple[str, ...] = (*FINISHED, "diverged")
"""Outcomes that are results; those of older versions are `completed` and `diverged`."""
