"""Ending search trials early by Optuna's pruners, each within one arm."""

from collections.abc import Mapping
from typing import Any

from optuna import Study, pruners
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from study.sweep.trials.members import construct
from study.sweep.trials.sampler import ArmStudy

PRUNERS: dict[str, type[BasePruner]] = {
    "median": pruners.MedianPruner,
    "percentile": pruners.PercentilePruner,
    "asha": pruners.SuccessiveHalvingPruner,  # asynchronous successive halving (Li et al. 2018)
    "hyperband": pruners.HyperbandPruner,
    "wilcoxon": pruners.WilcoxonPruner,
    "threshold": pruners.ThresholdPruner,
}


class ArmPruner(BasePruner):
    """Compares a trial with the search trials of its own arm."""

    def __init__(self, pruner: BasePruner):
        self._pruner = pruner

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial should end."""
        return bool(self._pruner.prune(ArmStudy.of(study, trial), trial))


def build_pruner(options: Mapping[str, Any] | None) -> BasePruner:
    """Build the pruner of `sweep.pruner`.

    Raises:
        ConfigError: naming the key, for a name or an argument that Optuna does not know.
    """
    if options is None:
        return pruners.NopPruner()
    return ArmPruner(construct("sweep.pruner", options, PRUNERS, ours={}))
