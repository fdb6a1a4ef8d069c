"""The end of a run: final measures and diagnosis, written to its record."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.analysis import lengths
from study.analysis.causes.examined import at_the_end
from study.analysis.causes.tested import TABLE as TESTS
from study.analysis.causes.tested import CauseTest, otherwise, sentence, table
from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup, Standing
from study.analysis.diagnosis.judge import Diagnosis, diagnose
from study.analysis.lengths import AtLength
from study.analysis.predictions import ROWS, TABLE, Predictions
from study.analysis.sample import FILE, sample
from study.columns import APPLIED, LOSS, RATE, SHARE, TOTAL
from study.installation import about
from study.learning.evaluation import Evaluation, See
from study.learning.memory import kept_for_backward
from study.opponents import Score, best
from study.standing import Direction, skill, standing
from study.tasks import Split, Task
from study.tracking import view, writer
from study.training.module import RecurrentModule
from study.training.weights import log_best

SAID = 0.05
"""From this share of a run on its validation is said to take time."""


@dataclass(frozen=True)
class Result:
    """The outcome of a run.

    Attributes:
        run_id: of MLflow.
        diagnosis: outcome, verdict and cause, with sentences.
        updates: made, up to the divergence if there was one.
        steps: at which their losses were taken: the updates times their mean over an epoch.
        seconds: of training, validation included.
        metrics: `loss` and the task's measures, by `<name>/val`, `<name>/test` and `<name>/baseline` (without memory,
            on the test split); `<primary>/opponent`, the primary measure of the best opponent, and `skill/opponent`,
            how far the network is ahead of it (see `study.opponents.skill`); and the scalars of the last probes.
            Those that rank runs are NaN of a run that diverged.
        primary: the measure that ranks runs of the task.
        direction: whether less or more of it is better.
        opponent: the best opponent, in words.
        notes: what a reader of the measures must know of the data.
        further: the primary measure on test by every further length that the task names.
        tests: of the causes, of a run that is not ahead of its opponents.
        experiment: its id in MLflow.
        validating: the seconds of training that validations took.
    """

    run_id: str
    diagnosis: Diagnosis
    updates: int
    steps: float
    seconds: float
    metrics: dict[str, float]
    primary: str
    direction: Direction
    opponent: str
    notes: tuple[str, ...] = ()
    further: Mapping[int, float] = field(default_factory=dict)
    tests: tuple[CauseTest, ...] = ()
    experiment: str = ""
    validating: float = 0.0

    @property
    def record(self) -> dict[str, Any]:
        """What a program reads of it."""
        ranked = {"primary": self.primary, "direction": self.direction, "opponent": self.opponent}
        cost = {"updates": self.updates, "steps": self.steps, "seconds": self.seconds}
        cost["validation_seconds"] = self.validating
        return {"run_id": self.run_id, **self.diagnosis.tags(), **cost, **ranked, "metrics": self.metrics}

    def summary(self, slug: str, uri: str) -> str:
        """A few lines for the terminal: the verdict, the measures, and where the run is.

        Args:
            slug: of the MLflow experiment.
            uri: of the store.
        """
        value, opponent, baseline = (self.metrics[f"{self.primary}/{of}"] for of in ("test", "opponent", "baseline"))
        where = standing(value, opponent, self.direction) + " " if math.isfinite(value) else ""
        beside = f"{where}{self.opponent}: {self.primary} {opponent:.4g}; "
        found = ", ".join(f"{measured:.4g} at {length}" for length, measured in self.further.items())
        further = f"at further lengths: {self.primary} {found}\n" if found else ""
        return (
            f"{self._took}; {self._tested}  ({beside}without memory {baseline:.4g})\n"
            f"{further}{self.diagnosis}\n{self._causes}"
            f"Run {self.run_id} is in MLflow experiment {slug!r} ({uri}). To see it: "
            f"{view.where(uri, self.experiment, self.run_id)}\n"
            f"{view.pictures(self.run_id, uri)}"
        )

    @property
    def _took(self) -> str:
        """How many updates in what time, and how much of it validation took, where it is worth a word."""
        share = self.validating / self.seconds if self.seconds else 0.0
        said = f", {share:.0%} of it validation" if share >= SAID else ""
        return f"{self.updates} updates in {self.seconds:.0f} s{said}"

    @property
    def _tested(self) -> str:
        """The measures on test, of a network that has them."""
        if self.diagnosis.outcome == "diverged":
            return "diverged, so it is not tested"
        return "test: " + "  ".join(f"{key} {value:.4g}" for key, value in tested(self.metrics).items())

    @property
    def _causes(self) -> str:
        """The cause that comes first, and how to test all of them; empty of a run that does not ask for it."""
        asked = f"`{about('why', self.run_id)}`"
        if not self.tests:
            return ""
        other = otherwise(self.tests, self.diagnosis.cause.name)
        return f"Causes: {sentence(self.tests)}. {f'{other} ' if other else ''}{asked} tests all of them.\n"


def conclude(module: RecurrentModule, setup: Setup, run: writer.Run, opponents: Mapping[str, Score]) -> Result:
    """Evaluate and diagnose a trained module; write measures, tags and the description to `run`.

    Args:
        module: trained.
        setup: what of its configuration a cause may lie in.
        run: its record.
        opponents: what those of the task reach.
    """
    history, task, probes, seconds = module.history, module.task, module.probes, module.seconds
    validated, guess = evaluate(module, task, "val"), task.baseline_metrics("test")
    if module.keep_if_best(validated):
        log_best(run, module.best)
    if not math.isfinite(validated["loss"]):  # the last update ruined the model: no later one could show it
        history.diverged = history.diverged or len(history)
    destroyed = history.diverged is not None
    on_test = {} if destroyed else _test(module, run)
    measures = {} if destroyed else _named("val", validated) | _named("test", on_test)
    test = dict.fromkeys(guess, math.nan) | on_test
    found = [] if destroyed else lengths.by_length(task, test, guess, lambda other: evaluate(module, other, "test"))
    stands = stand(task, test, guess, opponents, found)
    facts = facts_of(module, setup, stands, validated["loss"])
    diagnosis = diagnose(facts)
    baseline = {f"{key}/baseline": value for key, value in guess.items()}
    rival, label = stands.opponent
    ahead = {f"{task.primary}/opponent": rival}
    ahead |= {} if destroyed else {"skill/opponent": skill(stands.value, rival, task.direction)}
    cost = {"run/seconds": seconds, "run/updates": len(history), "run/memory_mb": _memory(module)}
    final = measures | baseline | ahead | cost
    run.log_points([(len(history), final)])
    if found:
        run.log_points([(at.length, {lengths.chart(task.primary): at.test[task.primary]}) for at in found])
        run.log_table(lengths.table(found), lengths.TABLE)
    steps = len(history) * module.pace.steps
    description = "\n\n".join([diagnosis.markdown(), *task.notes, view.pictures(run.run_id)])
    run.end(_tags(module, stands, opponents, steps) | diagnosis.tags(), description)
    if tests := at_the_end(module, facts, diagnosis):  # last: all that the run is has been written
        run.log_table(table(tests), TESTS)
    ranked = (task.primary, task.direction, label)
    further = {at.length: at.test[task.primary] for at in found if not at.trained}
    ranking = ("loss/val", f"{task.primary}/val", f"{task.primary}/test", "skill/opponent")
    measured = dict.fromkeys(ranking, math.nan) | final | probes.final
    ends = run.run_id, diagnosis, len(history), steps, seconds, measured
    return Result(*ends, *ranked, task.notes, further, tuple(tests), run.experiment, module.validating)


def _tags(module: RecurrentModule, stands: Standing, opponents: Mapping[str, Score], steps: float) -> dict[str, str]:
    """What a run is filtered by at its end, beside its diagnosis."""
    reached = {score.label: score.metrics["test"][stands.measure] for score in opponents.values()}
    tags = {"opponent": stands.opponent[1], "opponents": json.dumps(reached)}
    tags["steps_read"] = str(round(steps))  # a tag, as the next: the forty charts of a run are taken
    tags["validation_seconds"] = f"{module.validating:.3f}"
    if module.loss.initial_norm is not None:
        tags["initial_norm"] = str(float(module.loss.initial_norm))
    if module.history.diverged is not None:
        tags["not_measured"] = f"diverged at update {module.history.diverged}"
    return tags if stands.solved is None else tags | {"solved": str(stands.solved)}


def _test(module: RecurrentModule, run: writer.Run) -> dict[str, float]:
    """Measures on test that compare across losses; what was predicted there, and a text continued, are written."""
    task = module.task
    predictions = Predictions(task.batches("test"), task.names("test"), task.preprocessing, ROWS)
    measures = evaluate(module, task, "test", predictions)
    del measures["loss"]
    run.log_table(predictions.arrow(), TABLE)
    if (text := sample(module)) is not None:
        run.log_texts({FILE: text})
    return measures


def stand(
    task: Task,
    test: Mapping[str, float],
    guess: Mapping[str, float],
    opponents: Mapping[str, Score],
    further: Sequence[AtLength] = (),
) -> Standing:
    """Where a network stands, by its measures on test, those of the guess without memory, and the best opponent's.

    Args:
        task: that it was trained on.
        test: its measures.
        guess: those of the guess.
        opponents: what those of the task reach.
        further: its tests at all lengths that the task names.
    """
    hardest, name = opponents[best(opponents, task.primary, task.direction)], task.primary
    rival = hardest.metrics["test"][name], hardest.label
    solved, unsolved_at = task.solved(test, guess), lengths.unsolved_at(further, name)
    return Standing(name, test[name], guess[name], rival, task.direction, solved, unsolved_at)


def tested(measures: Mapping[str, float]) -> dict[str, float]:
    """The measures on test by their names alone."""
    return {key.removesuffix("/test"): value for key, value in measures.items() if key.endswith("/test")}


def judge(module: RecurrentModule, setup: Setup) -> Diagnosis:
    """Diagnose a module in training by its history and the measures of its probes."""
    return diagnose(facts_of(module, setup))


def facts_of(
    module: RecurrentModule, setup: Setup, stands: Standing | None = None, validation: float = math.nan
) -> Facts:  # fmt: skip
    """What a diagnosis of a module rests on.

    Args:
        module: trained, or in training.
        setup: what of its configuration a cause may lie in.
        stands: where it stands on the test split; None while it trains.
        validation: its loss on the validation split; NaN while it trains.
    """
    rows = module.history.rows()
    share, diverged = module.history.recorded(SHARE), module.history.diverged
    validations = [measures["loss"] for measures in module.journal.validations]
    made = rows[:, LOSS], rows[:, TOTAL], rows[:, APPLIED]
    course = Course(*made, diverged, validation, share, validations, rates=rows[:, RATE])
    return Facts(setup, course, probed_of(module), stands)


def probed_of(module: RecurrentModule) -> list[Probed]:
    """What the probes of a module measured, oldest first."""
    read = Probed._fields[1:]
    return [Probed(taken.update, *(taken.measures.get(name) for name in read)) for taken in module.probes.taken]  # type: ignore[arg-type]


def _named(split: Split, measures: Mapping[str, float]) -> dict[str, float]:
    return {f"{key}/{split}": value for key, value in measures.items()}


def evaluate(module: RecurrentModule, task: Task, split: Split, see: See | None = None) -> dict[str, float]:
    """Loss and measures of the trained model on a split, without dropout; `see`: see `Evaluation`."""
    batches = task.batches(split)
    module.model.eval()
    evaluation = Evaluation(module.model, module.loss, task.metrics(), batches.stateful, see)
    evaluation.add(batches.epoch(0))
    return evaluation.result()


def _memory(module: RecurrentModule) -> float:
    """Megabytes saved for the backward pass of an update on the first training batch, of the longest or mean reach."""
    batches, plan = module.task.batches("train"), module.truncation
    lengths = plan.stride[1], plan.reach[1], batches.stream
    return kept_for_backward(module.model, module.loss, next(batches.epoch(0)), *lengths, module.clip.watch) / 1e6
