"""The end of a run: final measures, gradient flow, verdict, all of it kept."""

import math
from dataclasses import dataclass

from study.analysis import figures as pictures
from study.analysis.diagnosis import Diagnosis, Evidence, Training, diagnose
from study.learning.evaluation import Evaluation
from study.learning.memory import kept_for_backward
from study.probes.flow import Flow
from study.probes.lyapunov import Lyapunov
from study.probes.saturation import Saturation
from study.schema import Config
from study.schema.clip import NoClipConfig
from study.tasks import SPLITS, Split, Task
from study.tracking import writer
from study.training.history import APPLIED, TOTAL
from study.training.module import RecurrentModule


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes:
        run_id: of MLflow.
        updates: made, up to the divergence if there was one.
        seconds: of training, validation included.
        metrics: `loss` and the task's measures, by `<name>/val`, `<name>/test` and `<name>/baseline` (naive, on the
            test split), and the gradient flow's scalars.
        primary: the measure that ranks runs of the task.
    """

    run_id: str
    diagnosis: Diagnosis
    updates: int
    seconds: float
    metrics: dict[str, float]
    primary: str

    def summary(self, config: Config) -> str:
        """A few lines for the terminal: the verdict, the measures, and what to type next."""
        test = "  ".join(f"{k.removesuffix('/test')} {v:.4g}" for k, v in self.metrics.items() if k.endswith("/test"))
        naive = self.metrics[f"{self.primary}/baseline"]
        return (
            f"{self.diagnosis.outcome} after {self.updates} updates in {self.seconds:.0f} s; test: {test}  "
            f"(without memory: {self.primary} {naive:.4g})\n"
            f"{self.diagnosis.verdict}: {self.diagnosis.sentence}\n{self.diagnosis.clipping_sentence}\n"
            f"Run {self.run_id} is in MLflow experiment {config.slug!r} ({config.tracking.uri}): "
            "type `make ui` to see it."
        )


def conclude(config: Config, module: RecurrentModule, task: Task, run: writer.Run, seconds: float) -> Result:
    """Measure what came of the training, judge it, and keep everything in `run`."""
    history = module.history
    measures = {f"{key}/{split}": v for split in SPLITS[1:] for key, v in evaluate(module, task, split).items()}
    del measures["loss/test"]  # what is reported can be compared across losses
    if not math.isfinite(measures["loss/val"]):  # the last update itself may have ruined the model
        history.diverged = history.diverged or len(history)
    diagnosis = judge(config, module)
    baseline = {f"{key}/baseline": value for key, value in task.baseline_metrics("test").items()}
    cost = {"run/seconds": seconds, "run/updates": len(history), "run/memory_mb": _memory(config, module, task)}
    final = measures | baseline | cost
    run.log_points([(len(history), final)])
    run.tag({"outcome": diagnosis.outcome, "verdict": diagnosis.verdict, "clipping": diagnosis.clipping})
    for name, figure in pictures.figures(history.rows(), config.clip, module.probes.taken, config.task.horizon).items():
        run.log_figure(figure, f"{name}.png")
    run.describe(f"**{diagnosis.verdict}**: {diagnosis.sentence}. {diagnosis.clipping_sentence.capitalize()}.")
    measures |= final | module.probes.final
    return Result(run.run_id, diagnosis, len(history), seconds, measures, task.primary)


def _memory(config: Config, module: RecurrentModule, task: Task) -> float:
    """Megabytes kept for the backward pass of an update on the first training batch."""
    batch = next(iter(task.batches("train").epoch(0)))
    return kept_for_backward(module.model, module.loss, batch, config.bptt.k1, config.bptt.k2) / 1e6


def judge(config: Config, module: RecurrentModule, since: int = 0) -> Diagnosis:
    """What the history up to now, of the updates after `since`, and the last measures say."""
    rows, clip, last = module.history.rows(since), not isinstance(config.clip, NoClipConfig), module.probes.last
    training = Training(rows[:, TOTAL], rows[:, APPLIED], module.history.diverged, clip)
    return diagnose(training, Evidence(config.task.horizon, last(Flow), last(Lyapunov), last(Saturation)))


def evaluate(module: RecurrentModule, task: Task, split: Split) -> dict[str, float]:
    """Loss and measures of the trained model on a split."""
    batches = task.batches(split)
    module.model.eval()
    evaluation = Evaluation(module.model, module.loss, task.metrics(), batches.stateful)
    evaluation.add(batches.epoch(0))
    return evaluation.result()
