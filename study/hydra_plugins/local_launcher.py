"""`hydra/launcher=local`: every job in a process of its own on this machine; if one dies the others go on."""

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import parent_process

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobRuntime, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from study.processes import adopt, preload, warm


class LocalLauncher(Launcher):
    """Starts all jobs at once; the sweeper decides how many there are."""

    prepare = staticmethod(preload)
    """Called by a sweep that is about to launch: workers are then ready sooner."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives."""
        self.job = (hydra_context, config, task_function)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs to their ends; their return values are dropped."""
        context = warm()
        jobs = [
            context.Process(target=work, args=(dict(os.environ), number, list(overrides), *self.job))
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        return []


def work(
    environment: dict[str, str],
    number: int,
    overrides: list[str],
    context: HydraContext,
    config: DictConfig,
    task: TaskFunction,
) -> None:
    """Run one job in this new process, in a process group of its own: Ctrl-C is its parent's to pass on.

    SIGINT is how that is done (`_follow_parent`), so it must not stay ignored, as in a shell's background job.
    """
    adopt(environment)
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_follow_parent, daemon=True).start()
    setup_globals()
    JobRuntime.instance().set("name", config.hydra.job.name)
    Plugins.instance()  # finds the plugins, which put their configs into Hydra's store
    composed = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id, composed.hydra.job.num = str(number), number
    HydraConfig.instance().set_config(composed)
    with suppress(KeyboardInterrupt):
        run_job(task, composed, "hydra.sweep.dir", "hydra.sweep.subdir", context).return_value  # noqa: B018 (raises)


def _follow_parent() -> None:
    """When the parent is gone, interrupt this process, so that its run ends cleanly and can be made again."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)


ConfigStore.instance().store(
    group="hydra/launcher",
    name="local",
    node={"_target_": f"{__name__}.{LocalLauncher.__name__}"},
    provider="study",
)
