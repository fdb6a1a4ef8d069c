"""The search of every arm by itself: a sampler that sees the trials of its own arm only."""

import warnings
from collections.abc import Container
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


class ArmStudy(optuna.Study):
    """A study as one arm's sampler sees it."""

    def __init__(self, study: optuna.Study, arm: str):
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)
        self._arm = arm

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """The search trials of the arm."""
        return self._get_trials(deepcopy, states)

    @property
    def best_trial(self) -> FrozenTrial:
        """The best search trial of the arm.

        Raises:
            ValueError: no trial is complete.
        """
        sign = 1 if self.direction == StudyDirection.MINIMIZE else -1
        complete = self._get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return min(complete, key=lambda trial: sign * trial.values[0])

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = super()._get_trials(deepcopy, states, use_cache)
        cells = ((trial, trial.user_attrs.get("cell", {})) for trial in trials)
        return [trial for trial, cell in cells if cell.get("arm") == self._arm and cell.get("phase") == "search"]


class ArmSampler(BaseSampler):
    """TPE (Bergstra et al. 2011), or random draws, within every arm.

    Args:
        name: `tpe` or `random`.
        trials: the budget of an arm; TPE draws the first quarter at random.
        seed: its own for every worker: equal seeds repeat each other's trials.
    """

    def __init__(self, name: str, trials: int, seed: int):
        startup = max(2, trials // 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            tpe = TPESampler(seed=seed, constant_liar=True, n_startup_trials=startup)
        self._sampler: BaseSampler = tpe if name == "tpe" else RandomSampler(seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """None: every key is sampled by itself, so that keys which exist in some trials only are no special case."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see `infer_relative_search_space`."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for one key from what the arm's trials have shown."""
        own = ArmStudy(study, trial.user_attrs["cell"]["arm"])
        return self._sampler.sample_independent(own, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Draw differently from now on."""
        self._sampler.reseed_rng()
