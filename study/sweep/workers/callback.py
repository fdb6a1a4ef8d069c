"""The Lightning callback of a sweep's runs: reports interim values, prunes, stops on order."""

from collections.abc import Sequence

import optuna
import pytorch_lightning as pl

from study.analysis.diagnosis.facts import Setup
from study.analysis.diagnosis.over_lag import ILL
from study.analysis.result import judge
from study.errors import Pruned
from study.schema import Config
from study.sweep.workers.seeds import Record, interim
from study.sweep.workers.signals import GivenUp, Stop, giving_up
from study.training.module import RecurrentModule


class SweepCallback(pl.Callback):
    """Reports every validation to the trial, prunes search trials, and ends the run when the worker has to stop.

    Grid runs and confirmations are never pruned: they are what an experiment measures.

    Args:
        trial: of the run.
        config: of the run.
        stop: says when to leave.
        made: `objective` and `updates` of the trial's runs on other seeds, so far.
    """

    def __init__(self, trial: optuna.Trial, config: Config, stop: Stop, made: Sequence[Record] = ()):
        self._trial, self._config, self._stop = trial, config, stop
        self._made = made
        self._searching = trial.user_attrs["cell"]["phase"] == "search"
        self._bad = self._judged = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Stop between updates as if the process were ending: the run is KILLED and its history kept."""
        if self._stop.given_up:
            raise GivenUp("another process has taken this one for dead, and makes the run")
        if self._stop.asked:
            raise SystemExit("the sweep was interrupted")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: RecurrentModule) -> None:
        """Report the objective; end a search trial that is not worth its time."""
        measure = self._config.sweep.measure(pl_module.task.primary)
        value = float(trainer.callback_metrics[measure])
        with giving_up():
            self._trial.report(*interim(self._made, value, len(pl_module.history)))
        if self._searching and not pl_module.history.diverged:
            with giving_up():  # some pruners keep notes in the trial
                poor = self._trial.should_prune()
            if poor:
                raise Pruned(f"{measure} {value:.4g} after {len(pl_module.history)} updates")
            self._prune_by_gradients(pl_module)

    def _prune_by_gradients(self, module: RecurrentModule) -> None:
        """End a trial whose last `bad_verdicts` verdicts were all bad; needs `probe.every` or `probe.per_decade`.

        A verdict is bad if the past cannot be learnt with such gradients, see `ILL`.
        """
        measured = module.probes.taken[-1].update if module.probes.taken else 0
        if self._config.sweep.bad_verdicts is not None and measured > self._judged:
            setup = Setup.of(self._config, module.clip.clips, module.model.core.hidden_size)
            verdict = judge(module, setup).verdict
            self._bad, self._judged = self._bad + 1 if verdict in ILL else 0, len(module.history)
            if self._bad >= self._config.sweep.bad_verdicts:
                raise Pruned(f"gradients {verdict} in {self._bad} verdicts in a row")
