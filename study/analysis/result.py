"""The end of a run: final measures and diagnosis, written to its record."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from study.analysis import figures
from study.analysis.diagnosis import Diagnosis, Evidence, Training, diagnose
from study.installation import door
from study.learning.evaluation import Evaluation
from study.learning.memory import kept_for_backward
from study.opponents import Score, best, skill, standing
from study.probes.flow import Flow
from study.probes.lyapunov import Lyapunov
from study.probes.saturation import Saturation
from study.tasks import SPLITS, Split, Task
from study.tracking import writer
from study.training.history import APPLIED, TOTAL
from study.training.module import RecurrentModule


@dataclass(frozen=True)
class Result:
    """The outcome of a run.

    Attributes:
        run_id: of MLflow.
        diagnosis: outcome and verdict, with sentences.
        updates: made, up to the divergence if there was one.
        seconds: of training, validation included.
        metrics: `loss` and the task's measures, by `<name>/val`, `<name>/test` and `<name>/baseline` (without memory,
            on the test split); `<primary>/opponent`, the primary measure of the best opponent, and `skill/opponent`,
            how far the network is ahead of it (see `study.opponents.skill`); and the scalars of the last probes.
        primary: the measure that ranks runs of the task.
        direction: whether less or more of it is better.
        opponent: the best opponent, in words.
    """

    run_id: str
    diagnosis: Diagnosis
    updates: int
    seconds: float
    metrics: dict[str, float]
    primary: str
    direction: Literal["minimize", "maximize"]
    opponent: str

    def summary(self, slug: str, uri: str) -> str:
        """A few lines for the terminal: the verdict, the measures, and where the run is.

        Args:
            slug: of the MLflow experiment.
            uri: of the store.
        """
        test = "  ".join(f"{k.removesuffix('/test')} {v:.4g}" for k, v in self.metrics.items() if k.endswith("/test"))
        value, opponent, baseline = (self.metrics[f"{self.primary}/{of}"] for of in ("test", "opponent", "baseline"))
        stands = f"{standing(value, opponent, self.direction)} {self.opponent}: {self.primary} {opponent:.4g}"
        return (
            f"{self.diagnosis.outcome} after {self.updates} updates in {self.seconds:.0f} s; test: {test}  "
            f"({stands}; without memory {baseline:.4g})\n"
            f"{self.diagnosis.verdict}: {self.diagnosis.sentence}\n{self.diagnosis.clipping_sentence}\n"
            f"Run {self.run_id} is in MLflow experiment {slug!r} ({uri}): type `{door('ui')}` to see it."
        )


def conclude(module: RecurrentModule, run: writer.Run, opponents: Mapping[str, Score]) -> Result:
    """Evaluate and diagnose a trained module; write measures, tags, pictures and the description to `run`.

    Args:
        module: trained.
        run: its record.
        opponents: what those of the task reach.
    """
    history, task, probes, seconds = module.history, module.task, module.probes, module.seconds
    measures = {f"{key}/{split}": v for split in SPLITS[1:] for key, v in evaluate(module, task, split).items()}
    del measures["loss/test"]  # only measures that compare across losses are reported on test
    if not math.isfinite(measures["loss/val"]):  # the last update ruined the model: no later one could show it
        history.diverged = history.diverged or len(history)
    diagnosis = judge(module)
    baseline = {f"{key}/baseline": value for key, value in task.baseline_metrics("test").items()}
    hardest = opponents[best(opponents, task.primary, task.direction)]
    rival = against(hardest, measures[f"{task.primary}/test"], task)
    cost = {"run/seconds": seconds, "run/updates": len(history), "run/memory_mb": _memory(module)}
    final = measures | baseline | rival | cost
    run.log_points([(len(history), final)])
    run.tag({"outcome": diagnosis.outcome, "verdict": diagnosis.verdict, "clipping": diagnosis.clipping})
    reached = {score.label: score.metrics["test"][task.primary] for score in opponents.values()}
    run.tag({"opponent": hardest.label, "opponents": json.dumps(reached)})
    drawn = figures.figures(history.rows(), module.clip.norm_limit, probes.taken, probes.horizon)
    for name, figure in drawn.items():
        run.log_figure(figure, f"{name}.png")
    run.describe(f"**{diagnosis.verdict}**: {diagnosis.sentence}. {diagnosis.clipping_sentence.capitalize()}.")
    return Result(
        run.run_id, diagnosis, len(history), seconds, final | probes.final, task.primary, task.direction, hardest.label
    )


def against(opponent: Score, value: float, task: Task) -> dict[str, float]:
    """The primary measure of an opponent, and how far a network with `value` is ahead of it."""
    reference = opponent.metrics["test"][task.primary]
    return {f"{task.primary}/opponent": reference, "skill/opponent": skill(value, reference, task.direction)}


def judge(module: RecurrentModule, since: int = 0) -> Diagnosis:
    """Diagnose the updates after number `since`, by the history and the last measures of the probes."""
    rows, last = module.history.rows(since), module.probes.last
    training = Training(rows[:, TOTAL], rows[:, APPLIED], module.history.diverged, module.clip.clips)
    return diagnose(training, Evidence(module.probes.horizon, last(Flow), last(Lyapunov), last(Saturation)))


def evaluate(module: RecurrentModule, task: Task, split: Split) -> dict[str, float]:
    """Loss and measures of the trained model on a split, without dropout."""
    batches = task.batches(split)
    module.model.eval()
    evaluation = Evaluation(module.model, module.loss, task.metrics(), batches.stateful)
    evaluation.add(batches.epoch(0))
    return evaluation.result()


def _memory(module: RecurrentModule) -> float:
    """Megabytes saved for the backward pass of an update on the first training batch."""
    batch, plan = next(module.task.batches("train").epoch(0)), module.truncation
    return kept_for_backward(module.model, module.loss, batch, plan.k1, plan.k2) / 1e6
