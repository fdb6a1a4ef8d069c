"""`python -m study.bench.why`: is the true cause of a constructed failure the one that is named first?

Failures of `study.bench.labelled`, small networks, no tracking: fresh ones, of another seed than the thresholds were
tuned on, and set-ups that were written down when the rules were fixed. Every run is tested as at its end; where no
measurement decides, the forks that `study-why` would make are made, in memory. Of most of these failures a measurement
decides; so there are milder ones, which no rule of the diagnosis was made for, and runs that learn, of which no
decisive measurement and no fork should name a cause. The tables are Markdown, for `docs/asking.md`.
"""

import argparse
import copy
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from study.bench.diagnosis import Trained, composed, of_all, train_run
from study.bench.labelled import LABELS, Setting, settings, unseen

if TYPE_CHECKING:
    from study.analysis.causes.forks import Contrast, Stretch
    from study.analysis.causes.tested import CauseTest

MODELS = ("elman", "lstm", "gru")
FINE = ("learns", "solved", "k2 = 1")
"""Labels of runs that are no failures."""
QUICK = 9
"""`--quick` tests every ninth run."""
SHARE = 3 / 4
"""Of a run, after which its forks part."""
NOTHING = "none"
MILD = {
    "rate too low": (
        "step size",
        "a hundredth of a rate that learns; it learns a little, so its steps are not nothing",
    ),
    "rate too high": ("step size", "ten to twenty times a rate that learns; nothing is destroyed"),
    "too narrow": ("capacity", "two units a layer"),
}
"""Failures that a fork or a new run should tell: the true cause, and how it follows from the construction."""
MILDLY = {
    "rate too low": (
        "task=language_bible_char optimizer.lr=1e-4 trainer.max_updates=400",
        "task=labelling_porttinari_pos optimizer.lr=1e-4 trainer.max_updates=400",
    ),
    "rate too high": (
        "task=language_bible_char optimizer.lr=0.1 trainer.max_updates=400",
        "task=labelling_porttinari_pos optimizer.lr=0.2 trainer.max_updates=400",
    ),
    "too narrow": ("task=language_bible_char model.hidden_size=2 optimizer.lr=0.01 trainer.max_updates=600",),
}
CONTROL = "learns"


class Asked(NamedTuple):
    """A labelled run, with the cause that is named first.

    Attributes:
        cause: its name; `NOTHING`: none is supported.
        evidence: see `study.analysis.causes.tested`.
        diagnosis: the cause that the diagnosis names.
        sentence: as a reader gets it.
    """

    setting: Setting
    seed: int
    cause: str
    evidence: str
    diagnosis: str
    sentence: str

    @property
    def right(self) -> bool:
        """Whether the cause is one that the label allows; none at all is `unknown`."""
        causes = allowed(self.setting.label)
        return self.cause in causes or (self.cause == NOTHING and "unknown" in causes)


def allowed(label: str) -> tuple[str, ...]:
    """The causes that a label allows."""
    return (MILD[label][0],) if label in MILD else LABELS[label].causes


def mild(models: Sequence[str]) -> Iterator[Setting]:
    """The milder failures, for every model."""
    for label, set_ups in MILDLY.items():
        for model in models:
            yield from (Setting(label, (f"model={model}", *one.split())) for one in set_ups)


def ask_run(setting: Setting, seed: int) -> Asked:
    """Train one labelled run, and ask why it failed."""
    from study.analysis.causes.examined import at_the_end
    from study.analysis.causes.tested import first, sentence
    from study.analysis.diagnosis.judge import diagnose

    trained = train_run(setting, seed)
    diagnosis = diagnose(trained.facts)
    tests = at_the_end(trained.module, trained.facts, diagnosis)
    named = first(tests)
    if tests and (named is None or named.evidence != "decisive"):
        tests = with_forks(setting, seed, trained, tests)
        named = first(tests)
    name, evidence = (named.name, named.evidence) if named else (NOTHING, "")
    return Asked(setting, seed, name, evidence, diagnosis.cause.name, sentence(tests))


def with_forks(setting: Setting, seed: int, run: Trained, tests: "Sequence[CauseTest]") -> "list[CauseTest]":
    """The tests with the forks that they ask for, from three quarters of the run on, as `study-why` makes them."""
    from study.analysis.causes.forks import compared, contrasts, decided, scatter
    from study.reproduce.replay import between_batches, replay
    from study.training import checkpoint

    batches = run.module.task.batches("train")
    updates = len(run.module.history)
    at = between_batches(run.config, batches, int(SHARE * updates))
    wanted = contrasts(tests, run.facts, run.config, batches.longest, lost=False)
    with tempfile.TemporaryDirectory() as folder:
        replay(run.config, at, file := Path(folder) / "state.ckpt")
        state = checkpoint.load(file)
    spread = scatter([measures["loss"] for measures in run.module.journal.validations])
    made = [_pair(setting, seed, run, contrast, state, at) for contrast in wanted]
    found = [compared(one, *pair, spread) for one, pair in zip(wanted, made, strict=True) if pair]
    return decided(tests, found)


def _pair(
    setting: Setting, seed: int, run: Trained, contrast: "Contrast", state: dict, at: int
) -> "tuple[Stretch, Stretch]":
    """The stretches of a run and of one that is made to test a cause."""
    from study.analysis.causes.forks import Stretch
    from study.analysis.result import evaluate
    from study.columns import LOSS
    from study.reproduce.fork import treated
    from study.train import assemble
    from study.training.trainer import fit

    config = composed(Setting(setting.label, (*setting.overrides, *contrast.overrides)), seed)
    task, module = assemble(config)
    if contrast.anew:
        module.hold = len(run.module.history) - at
    else:
        module.load_state(treated(copy.deepcopy(state), run.config, config))  # other forks start from it too
    fit(module, config.trainer, seed, [])
    losses, made = (each.history.rows()[:, LOSS] for each in (run.module, module))
    lost = module.history.diverged is not None
    if contrast.anew:
        return Stretch(losses[: len(made)], math.nan), Stretch(made[: len(losses)], math.nan, lost)
    validation = evaluate(module, task, "val")["loss"]
    return Stretch(losses[at:], run.facts.course.validation), Stretch(made[at:], validation, lost)


def table(runs: Sequence[Asked]) -> str:
    """By label: how many runs, what was named first, and how many of them rightly; wrong names in bold."""
    lines = ["| label | runs | named first | of them by a fork | right |", "|---|---|---|---|---|"]
    for name in (*LABELS, *MILD):
        mine = [run for run in runs if run.setting.label == name]
        if not mine:
            continue
        right = {run.cause: run.right for run in mine}
        counts = Counter(run.cause for run in mine).most_common()
        words = ", ".join(f"{n} {cause}" if right[cause] else f"**{n} {cause}**" for cause, n in counts)
        forks, good = sum(run.evidence == "fork" for run in mine), sum(run.right for run in mine)
        lines.append(f"| {name} | {len(mine)} | {words} | {forks} | {good} |")
    return "\n".join(lines)


def main(models: Sequence[str], quick: bool) -> int:
    """Train, ask, print; 1 if fewer than nine in ten are right."""
    known = [(setting, 1) for setting in settings(tuple(models))] + [(setting, 3) for setting in unseen(tuple(models))]
    parts = {
        "Constructed failures": [(setting, seed) for setting, seed in known if setting.label not in FINE],
        "Milder ones": [(setting, 1) for setting in mild(models)],
        "Runs that learn": [(setting, seed) for setting, seed in known if setting.label == CONTROL],
    }
    every = QUICK if quick else 1
    runs = of_all(ask_run, [one for part in parts.values() for one in part[::every]])
    failed = [run for run in runs if run.setting.label != CONTROL]
    for title, part in parts.items():
        mine, runs = runs[: len(part[::every])], runs[len(part[::every]) :]
        print(f"\n{title}: {_counted(mine)}\n\n{table(mine)}")
        for run in (run for run in mine if not run.right or run.setting.label == CONTROL):
            print(f"\n{run.setting.label}: {' '.join(run.setting.overrides)} seed={run.seed}: {run.sentence}")
    return int(sum(run.right for run in failed) < 0.9 * len(failed))


def _counted(runs: Sequence[Asked]) -> str:
    """How many are right, beside what the diagnosis alone says of them; of runs that learn, how many have a cause."""
    if all(run.setting.label == CONTROL for run in runs):
        alarms = sum(run.evidence in ("decisive", "fork") for run in runs)
        return f"a cause by a decisive measurement or a fork in {alarms} of {len(runs)}"
    alone = sum(run.diagnosis in allowed(run.setting.label) for run in runs)
    return f"the true cause first in {sum(run.right for run in runs)} of {len(runs)}; by the diagnosis alone in {alone}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few runs, to see that it works")
    options = parser.parse_args()
    sys.exit(main(options.models, options.quick))
