"""`python -m study.bench.diagnosis`: does the diagnosis say of labelled runs what their construction implies?

Every set-up of `study.bench.labelled` is trained as small networks, no tracking: on the runs of seed 0 the
thresholds were tuned, all others are fresh: the same set-ups with other seeds, and other set-ups that were written down
when the thresholds were fixed. The tables are Markdown, for `docs/diagnosis.md`.
"""

import argparse
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track

from study.bench.labelled import LABELS, LEARNT, Setting, settings, unseen
from study.processes import warm
from study.schema.defaults import option
from study.schema.model import MODELS

if TYPE_CHECKING:
    from study.analysis.diagnosis.facts import Facts
    from study.schema import Config
    from study.training.module import RecurrentModule

Answer = TypeVar("Answer")

SEEDS = {0: "tuned on", 1: "fresh", 2: "fresh"}
SMALL = ("model.hidden_size=24", "trainer.progress_bar=false", "probe.per_decade=2", "trainer.validate_every=100000")
QUICK = 9
"""`--quick` trains every ninth run."""


class Judged(NamedTuple):
    """A run with the diagnosis it got.

    Attributes:
        answers: outcome, verdict, cause.
        change: the overrides that would test the cause; empty where there are none.
        skill: how far the network is ahead of the guess without memory, see `study.opponents.skill`.
        sentence: as a reader gets it.
    """

    setting: Setting
    seed: int
    answers: tuple[str, str, str]
    change: str
    skill: float
    sentence: str

    @property
    def right(self) -> bool:
        """Whether all three answers are among those that the label allows."""
        label = LABELS[self.setting.label]
        allowed = (label.outcomes, label.verdicts, label.causes)
        return all(answer in words for answer, words in zip(self.answers, allowed, strict=True))

    @property
    def changed(self) -> Setting:
        """The set-up with the change; what was given for the same keys, or for keys of another model, is left out."""
        change = dict(text.split("=", 1) for text in self.change.split())
        given = dict(text.split("=", 1) for text in self.setting.overrides)
        model = {f"model.{key}" for key in option("model", change.get("model", given["model"]))}
        kept = {key: value for key, value in given.items() if not key.startswith("model.") or key in model}
        return Setting(self.setting.label, tuple(f"{key}={value}" for key, value in (kept | change).items()))


class Trained(NamedTuple):
    """A labelled run without a record: its configuration, its trained module, and what a diagnosis rests on."""

    config: "Config"
    module: "RecurrentModule"
    facts: "Facts"


def train_run(setting: Setting, seed: int) -> Trained:
    """Train one labelled run, as `study.train` does, without a record."""
    from study import opponents
    from study.analysis import result
    from study.analysis.diagnosis.facts import Setup
    from study.data import folder
    from study.tracking import provenance
    from study.train import assemble
    from study.training.trainer import fit

    config = composed(setting, seed)
    task, module = assemble(config)
    fit(module, config.trainer, config.seed, [])
    test, guess = result.evaluate(module, task, "test"), task.baseline_metrics("test")
    digest = provenance.combined(provenance.splits(task))
    rivals = opponents.scores(task, config.task, digest, folder(None, "opponents"), config.model.bidirectional)
    setup = Setup.of(config, module.clip.clips, module.model.core.hidden_size)
    validation = result.evaluate(module, task, "val")["loss"]
    stands = result.stand(task, test, guess, rivals)
    return Trained(config, module, result.facts_of(module, setup, stands, validation))


def composed(setting: Setting, seed: int) -> "Config":
    """The configuration of a labelled run."""
    from study.bench.composed import composed

    return composed(*SMALL, *setting.overrides, f"seed={seed}")


def judge_run(setting: Setting, seed: int) -> Judged:
    """Train one labelled run and diagnose it."""
    from study.analysis.diagnosis.judge import diagnose
    from study.standing import skill

    _, module, facts = train_run(setting, seed)
    found, stands = diagnose(facts), facts.standing
    assert stands is not None
    ahead = skill(stands.value, stands.baseline, module.task.direction)
    answers = (found.outcome, found.verdict, found.cause.name)
    return Judged(setting, seed, answers, found.cause.change, ahead, str(found))


def confusion(runs: Sequence[Judged]) -> str:
    """Labels against what was said: a Markdown table, wrong answers in bold."""
    lines = ["| label | runs | outcome | verdict | cause | wrong |", "|---|---|---|---|---|---|"]
    for name, label in LABELS.items():
        mine = [run for run in runs if run.setting.label == name]
        allowed = (label.outcomes, label.verdicts, label.causes)
        cells = [_counts([run.answers[i] for run in mine], words) for i, words in enumerate(allowed)]
        if mine:
            lines.append(f"| {name} | {len(mine)} | {' | '.join(cells)} | {sum(not run.right for run in mine)} |")
    return "\n".join(lines)


def _counts(words: list[str], allowed: Sequence[str]) -> str:
    counts = Counter(words).most_common()
    return ", ".join(f"{n} {word}" if word in allowed else f"**{n} {word}**" for word, n in counts)


def effects(before: Sequence[Judged], after: Sequence[Judged]) -> str:
    """What became of runs with the change that was to test the cause: a Markdown table by label."""
    lines = ["| label | runs with a change | better with it | learn with it |", "|---|---|---|---|"]
    for name in LABELS:
        pairs = [(old, new) for old, new in zip(before, after, strict=True) if old.setting.label == name]
        better = sum(not new.skill <= old.skill for old, new in pairs if not math.isnan(new.skill))
        learn = sum(new.answers[0] in (*LEARNT, "solved") for _, new in pairs)
        if pairs:
            lines.append(f"| {name} | {len(pairs)} | {better} | {learn} |")
    return "\n".join(lines)


def train_all(chosen: Sequence[tuple[Setting, int]]) -> list[Judged]:
    """Train labelled runs and diagnose them."""
    return of_all(judge_run, chosen)


def of_all(work: Callable[[Setting, int], Answer], chosen: Sequence[tuple[Setting, int]]) -> list[Answer]:
    """The results of a work on labelled runs, in their order, one process a core."""
    with ProcessPoolExecutor(os.cpu_count(), warm()) as pool:
        futures = [pool.submit(work, *one) for one in chosen]
        return [future.result() for future in track(futures, "training", console=Console(stderr=True))]


def main(quick: bool, every: bool) -> int:
    """Train, judge, print; 1 if an answer is wrong."""
    models = tuple(MODELS)
    parts = {
        f"{half}, seed {seed}": [(setting, seed) for setting in settings(models)] for seed, half in SEEDS.items()
    } | {"other set-ups, fresh, seed 3": [(setting, 3) for setting in unseen(models)]}
    chosen = [(part, *one) for part, found in parts.items() for one in found][:: QUICK if quick else 1]
    runs = train_all([(setting, seed) for _, setting, seed in chosen])
    for part in parts:
        mine = [run for run, (of, *_) in zip(runs, chosen, strict=True) if of == part]
        print(f"\n{part.capitalize()}: {sum(run.right for run in mine)} of {len(mine)} right\n\n{confusion(mine)}")
    faulty = [run for run in runs if run.change]
    cured = train_all([(run.changed, run.seed) for run in faulty])
    print(f"\nWith the change that would test the cause\n\n{effects(faulty, cured)}")
    for run in runs:
        if every or not run.right:
            print(f"\n{run.setting.label}: {' '.join(run.setting.overrides)} seed={run.seed}\n{run.sentence}")
    return int(not all(run.right for run in runs))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few runs, to see that it works")
    parser.add_argument("--every", action="store_true", help="print the sentence of every run, not only of wrong ones")
    options = parser.parse_args()
    sys.exit(main(options.quick, options.every))
