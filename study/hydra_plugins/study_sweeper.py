"""`hydra/sweeper=study`: hands a `--multirun` command to `study.sweep`. Hydra imports this file at every start."""

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """See `study.sweep.sweeper`; the task is always `study.train.train`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives."""
        self.job = (hydra_context, config)

    def sweep(self, arguments: list[str]) -> None:
        """Make every run of the plan."""
        from study.sweep.sweeper import sweep

        sweep(*self.job, arguments)


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="study",
    node={"_target_": f"{__name__}.{StudySweeper.__name__}"},
    provider="study",
)
