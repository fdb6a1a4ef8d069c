"""Proposing values for the trials of a search, for every arm by itself."""

import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from study.sweep.trials.optuna_private import StudyView


class ArmStudy(StudyView):
    """A study as one arm's sampler and pruner see it: the search trials of the arm."""

    def __init__(self, study: optuna.Study, arm: str):
        super().__init__(study, lambda trial: _search_of(trial) == arm)

    @property
    def best_trial(self) -> FrozenTrial:
        """The best search trial of the arm.

        Raises:
            ValueError: no trial is complete.
        """
        sign = 1 if self.direction == StudyDirection.MINIMIZE else -1
        complete = self.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return min(complete, key=lambda trial: sign * trial.values[0])


def _search_of(trial: FrozenTrial) -> str | None:
    """The arm whose search a trial is part of."""
    cell = trial.user_attrs.get("cell", {})
    return cell.get("arm") if cell.get("phase") == "search" else None


class ArmSampler(BaseSampler):
    """TPE (Bergstra et al. 2011), or random draws, within every arm.

    Args:
        name: `tpe` or `random`.
        trials: the budget of an arm; TPE draws the first quarter at random.
        seed: another one for every worker: samplers of equal seeds propose the same values.
    """

    def __init__(self, name: str, trials: int, seed: int):
        startup = max(2, trials // 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            tpe = TPESampler(seed=seed, constant_liar=True, n_startup_trials=startup)
        self._sampler: BaseSampler = tpe if name == "tpe" else RandomSampler(seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """None: every key is sampled by itself, so that a key which only some trials have is no special case."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see `infer_relative_search_space`."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for one key, proposed from the trials of the arm."""
        own = ArmStudy(study, trial.user_attrs["cell"]["arm"])
        return self._sampler.sample_independent(own, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Seed the random numbers anew."""
        self._sampler.reseed_rng()
