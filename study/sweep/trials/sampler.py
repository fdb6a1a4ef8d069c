"""Proposing values for the trials of a search, for every arm by itself."""

import importlib.util
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna import samplers
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from study.errors import ConfigError
from study.sweep.trials.members import construct
from study.sweep.trials.optuna_private import StudyView

SAMPLERS: dict[str, type[BaseSampler]] = {
    "tpe": samplers.TPESampler,  # Bergstra et al. 2011
    "random": samplers.RandomSampler,
    "gp": samplers.GPSampler,  # Gaussian process with expected improvement
    "cmaes": samplers.CmaEsSampler,  # Hansen 2016; of two or more numbers, choices are drawn at random
    "qmc": samplers.QMCSampler,  # Sobol's sequence: random search that leaves no gaps
    "nsgaii": samplers.NSGAIISampler,  # a genetic algorithm (Deb et al. 2002)
    "nsgaiii": samplers.NSGAIIISampler,
}
"""Not Optuna's grid and brute force: what is to be tried value by value stands under `sweep.arms`."""

SAME_SEED = ("qmc",)
"""Samplers that walk along one sequence, which all workers must share."""


FIRST = {"n_startup_trials": ("tpe", "gp"), "population_size": ("nsgaii", "nsgaiii")}
"""Arguments for which an arm's budget gives the default, and the samplers that have them."""


class ArmStudy(StudyView):
    """A study as one arm's sampler and pruner see it: the search trials of the arm."""

    def __init__(self, study: optuna.Study, arm: str):
        super().__init__(study, arm, lambda trial: search_of(trial) == arm)

    @classmethod
    def of(cls, study: optuna.Study, trial: FrozenTrial) -> "ArmStudy":
        """That of the arm whose search a trial is part of."""
        return cls(study, search_of(trial) or "")

    @property
    def best_trial(self) -> FrozenTrial:
        """The best search trial of the arm.

        Raises:
            ValueError: no trial is complete.
        """
        sign = 1 if self.direction == StudyDirection.MINIMIZE else -1
        complete = self.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return min(complete, key=lambda trial: sign * trial.values[0])


def search_of(trial: FrozenTrial) -> str | None:
    """The arm whose search a trial is part of; None for a run of a grid, or a confirmation."""
    cell = trial.user_attrs.get("cell", {})
    return cell.get("arm") if cell.get("phase") == "search" else None


class ArmSampler(BaseSampler):
    """One sampler for each arm, which sees the search trials of the arm only.

    Not one for all: samplers remember which keys all trials of "the study" have had so far, and arms differ in that.
    Those keys may be proposed together; a key that some trials lack is proposed alone.

    Args:
        make: a sampler of Optuna from a seed.
        seed: from which every arm gets one of its own.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int):
        self._make, self._seed = make, seed
        self._samplers: dict[str, BaseSampler] = {}

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        arm = search_of(trial) or ""
        if arm not in self._samplers:
            self._samplers[arm] = self._make(self._seed ^ zlib.crc32(arm.encode()))
        return self._samplers[arm]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The keys that are proposed together."""
        return self._of(trial).infer_relative_search_space(ArmStudy.of(study, trial), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for those keys."""
        return self._of(trial).sample_relative(ArmStudy.of(study, trial), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for one key."""
        return self._of(trial).sample_independent(ArmStudy.of(study, trial), trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Tell the sampler of a trial that begins."""
        self._of(trial).before_trial(ArmStudy.of(study, trial), trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the sampler of a trial that ended."""
        self._of(trial).after_trial(ArmStudy.of(study, trial), trial, state, values)

    def reseed_rng(self) -> None:
        """Seed the random numbers anew."""
        for sampler in self._samplers.values():
            sampler.reseed_rng()


def build_sampler(options: str | Mapping[str, Any], trials: int, seed: int) -> ArmSampler:
    """Build the sampler of `sweep.sampler`.

    Args:
        options: its name, or its name and arguments.
        trials: the budget of an arm. A quarter of it is what `tpe` and `gp` draw at random before they begin to learn,
            and a generation of the genetic ones, where the options do not say: Optuna's 10 and 50 may be all there is.
            `tpe` proposes each key alone, or with `multivariate: true` all together.
        seed: another one for every worker: samplers of equal seeds propose the same values.

    Raises:
        ConfigError: naming the key, for a name or an argument that Optuna does not know, or a package that is missing.
    """
    given = {"name": options} if isinstance(options, str) else dict(options)
    name, quarter = given.get("name"), max(2, trials // 4)
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise ConfigError("sweep.sampler = 'cmaes': needs the package cmaes (.venv/bin/pip install cmaes)")
    defaults = {argument: quarter for argument, names in FIRST.items() if name in names}
    defaults |= {"multivariate": False} if name == "tpe" else {}

    def make(seed: int) -> BaseSampler:
        ours = {"seed": 0 if name in SAME_SEED else seed}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return construct("sweep.sampler", defaults | given, SAMPLERS, ours)

    make(seed)  # refuse now
    return ArmSampler(make, seed)
