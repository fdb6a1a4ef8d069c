"""Ending search trials early by Optuna's pruners, each within one arm."""

import inspect
from collections.abc import Mapping
from typing import Any

from optuna import Study, pruners
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from study.errors import ConfigError, nearest
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
        return bool(self._pruner.prune(ArmStudy(study, trial.user_attrs["cell"]["arm"]), trial))


def build_pruner(options: Mapping[str, Any] | None) -> BasePruner:
    """Build the pruner of `sweep.pruner`.

    Raises:
        ConfigError: naming the key, for a name or an argument that Optuna does not know.
    """
    if options is None:
        return pruners.NopPruner()
    arguments = dict(options)
    name = arguments.pop("name", None)
    if name not in PRUNERS:
        hint = nearest(str(name), PRUNERS)
        raise ConfigError(f"sweep.pruner.name = {name!r}: no such pruner{hint} (allowed: {', '.join(PRUNERS)})")
    known = list(inspect.signature(PRUNERS[name]).parameters)
    for key in set(arguments) - set(known):
        hint = nearest(key, known)
        raise ConfigError(f"sweep.pruner.{key}: {name} has no such argument{hint} (allowed: {', '.join(known)})")
    try:
        return ArmPruner(PRUNERS[name](**arguments))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"sweep.pruner = {dict(options)}: {error}") from error
