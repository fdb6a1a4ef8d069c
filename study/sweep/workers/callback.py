"""Between a trial and the sweep around it, while it trains: interim values out, the order to stop in."""

import optuna
import pytorch_lightning as pl

from study.analysis.result import judge
from study.errors import Pruned
from study.schema import Config
from study.sweep.workers.signals import Stop
from study.training.module import RecurrentModule

BAD_VERDICTS = ("vanishing", "saturated", "exploding", "chaotic")
"""Verdicts on a gradient that does not reach back over the horizon, or grows on its way; with a known cause or not."""


class SweepCallback(pl.Callback):
    """Reports every validation, ends a search trial that a pruner gives up, leaves when the worker is told to.

    Only search trials are pruned: the runs of a grid and the confirmations are what an experiment measures.
    """

    def __init__(self, trial: optuna.Trial, config: Config, stop: Stop):
        self._trial, self._config, self._stop = trial, config, stop
        self._searching = trial.user_attrs["cell"]["phase"] == "search"
        self._sick = self._looked = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Stop between updates as if the process were ending: the run is KILLED, its history kept."""
        if self._stop.asked:
            raise SystemExit("the sweep was interrupted")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: RecurrentModule) -> None:
        """Report the objective and ask whether to go on."""
        measure = self._config.sweep.measure(pl_module.task.primary)
        value = float(trainer.callback_metrics[measure])
        self._trial.report(value, len(pl_module.history))
        if self._searching and not pl_module.history.diverged:
            if self._trial.should_prune():
                raise Pruned(f"{measure} {value:.4g} after {len(pl_module.history)} updates")
            self._look_at_gradients(pl_module)

    def _look_at_gradients(self, module: RecurrentModule) -> None:
        """End a trial whose last `bad_verdicts` verdicts were all bad; needs `probe.every` or `probe.per_decade`.

        Each verdict is on what is new since the last one: one leap, or one measure, counts once.
        """
        measured = module.probes.taken[-1].update if module.probes.taken else 0
        if self._config.sweep.bad_verdicts is not None and measured > self._looked:
            verdict = judge(module, self._looked).verdict
            self._sick, self._looked = self._sick + 1 if verdict in BAD_VERDICTS else 0, len(module.history)
            if self._sick >= self._config.sweep.bad_verdicts:
                raise Pruned(f"gradients {verdict} in {self._sick} verdicts in a row")
