"""What a question about the cause measures of a finished run: the facts of its record, and its network as it was.

Of a run that its own updates destroyed that is the network before the update that led to it.
"""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from study import tasks
from study.analysis.causes.case import Case
from study.analysis.causes.examined import examined
from study.analysis.causes.tested import CauseTest
from study.analysis.causes.tests import try_all
from study.analysis.causes.transition import Transition, transition
from study.analysis.diagnosis.cause import ruin
from study.analysis.diagnosis.events import events
from study.analysis.diagnosis.facts import Course, Facts, Setup, Standing
from study.analysis.lengths import AtLength
from study.analysis.result import evaluate, probed_of
from study.columns import FIXED, SHARE
from study.reproduce.compare import history
from study.reproduce.replay import InsideBatch, at_end, between_batches, state_at
from study.schema import Config
from study.schema.bptt import TRUNCATIONS
from study.schema.task.base import LengthsConfig
from study.tasks import Batches
from study.tracking.answers import forked_at
from study.tracking.outcomes import LOST
from study.tracking.reader import Logged
from study.train import assemble
from study.training import checkpoint
from study.training.module import RecurrentModule

PART = 3 / 4
"""Of a run, after which its forks part: the rest of it is their control."""
FURTHER = (2, 4)
"""Times the length of training at which a network is tested, where sequences can be drawn."""


class Measured(NamedTuple):
    """A finished run with all that its tests need.

    Attributes:
        case: the facts, and the measures.
        tests: of its causes.
        at: the update after which forks part; 0: before the first.
        longest: steps of the longest training sequence.
        further: its tests at further lengths; none where they cannot be drawn, or the run was destroyed.
    """

    case: Case
    tests: list[CauseTest]
    at: int
    longest: int
    further: list[AtLength]


def measure(run: Logged, config: Config, start: dict[str, Any] | None) -> Measured:
    """Bring a run back, and take every measure that the tests of its causes need.

    Args:
        run: that has ended.
        config: its configuration, restored.
        start: the state that it began with, where it is a fork.

    Raises:
        ConfigError: this machine does not compute what the run computed.
    """
    task, module = assemble(config)
    setup = Setup.of(config, module.clip.clips, module.model.core.hidden_size)
    facts, batches = facts_of_record(run, setup), task.batches("train")
    lost = run.tags["outcome"] in LOST
    latest = ruin(facts, events(facts)) - 2 if lost else int(PART * len(facts.course.losses))
    at = _place(run, config, batches, max(0, latest), start)
    module = _before(run, config, at, start) if lost else at_end(run, config, start)
    case = examined(module, replace(facts, probed=probed_of(module)))
    if lost:
        return Measured(case, try_all(case), at, batches.longest, [])
    further = at_further_lengths(module, config)
    found = [_expressed(test, case, module, further) for test in try_all(case)]
    return Measured(case, found, at, batches.longest, further)


def _place(run: Logged, config: Config, batches: Batches, latest: int, start: dict[str, Any] | None) -> int:
    """The last update up to `latest` after which the run can be taken up; 0: before the first one.

    Where batches end at random that is not known before they are made again: then it is the end of one of them.
    """
    parted = forked_at(run)
    at = max(parted, between_batches(config, batches, latest))
    if at > parted and TRUNCATIONS.implementation(config.bptt.name).draws:
        try:
            state_at(run, config, at, start)
        except InsideBatch as inside:
            return inside.reached if inside.reached <= latest else parted
    return at


def _before(run: Logged, config: Config, at: int, start: dict[str, Any] | None) -> RecurrentModule:
    """The module after an update; before the first one as it was drawn."""
    module = assemble(config)[1]
    if at or start:
        module.load_state(checkpoint.load(state_at(run, config, at, start)) if at else dict(start or {}))
    return module.as_restored()


def facts_of_record(run: Logged, setup: Setup) -> Facts:
    """What the record of a run says of its course and of where it stands; no measures of probes."""
    rows, tags, measures = history(run), run.tags, run.measures
    losses, rates, norms, applied = (rows[name].to_numpy(np.float32) for name in FIXED)
    diverged = len(rows) if tags["outcome"] == "diverged" else None
    share = rows[SHARE].to_numpy(np.float32) if SHARE in rows else None
    validations = [value for _, _, value in run.points(["loss/val"])]
    validation = math.nan if diverged else measures.get("loss/val", math.nan)
    course = Course(losses, norms, applied, diverged, validation, share, validations, rates)
    primary, direction = tags["primary"], tags["direction"]
    value, baseline, rival = (measures.get(f"{primary}/{of}", math.nan) for of in ("test", "baseline", "opponent"))
    solved = {"True": True, "False": False}.get(tags.get("solved", ""))
    assert direction in ("minimize", "maximize")
    stands = Standing(primary, value, baseline, (rival, tags["opponent"]), direction, solved)  # type: ignore[arg-type]
    return Facts(setup, course, standing=stands)


def at_further_lengths(module: RecurrentModule, config: Config) -> list[AtLength]:
    """Test a network at `FURTHER` times its length; nothing where the task has no longer sequences."""
    if not isinstance(config.task, LengthsConfig):
        return []
    found = []
    for length in (times * config.task.length for times in FURTHER):
        task = tasks.build(config.task.at_length(length), config.data, config.seed)
        test, guess = evaluate(module, task, "test"), task.baseline_metrics("test")
        found.append(AtLength(length, False, test, guess, task.solved(test, guess)))
    return found


def _expressed(test: CauseTest, case: Case, module: RecurrentModule, further: list[AtLength]) -> CauseTest:
    """The test of expressivity with what the trained network does to its state, and at further lengths."""
    if test.cause != "expressivity":
        return test
    device = next(module.model.parameters()).device
    texts = [test.why, _of_lengths(case, module, further)]
    taken = transition(module.model, module.probes.frozen(device))
    if taken is None:
        return replace(test, why="; ".join(texts))
    return replace(
        test,
        measure="lowest real part of an eigenvalue of dh/dh",
        value=taken.lowest,
        threshold=0.0,
        why="; ".join([*texts, _of_transition(taken)]),
    )


def _of_transition(taken: Transition) -> str:
    return (
        f"from step to step the trained network multiplies its state by eigenvalues down to {taken.lowest:.2g}, and "
        f"the input changes that matrix by {taken.depends:.0%} (a linear recurrence needs one below 0 that the input "
        "changes, to count modulo 2)"
    )


def _of_lengths(case: Case, module: RecurrentModule, further: list[AtLength]) -> str:
    if not further:
        return "not tested at further lengths: the data have no longer sequences"
    standing, primary = case.facts.standing, module.task.primary
    assert standing is not None
    found = ", ".join(f"{at.test[primary]:.3g} at {at.length} (guess {at.guess[primary]:.3g})" for at in further)
    own = f"{standing.value:.3g} at its own length, " if math.isfinite(standing.value) else ""
    return f"{primary} {own}{found}"
