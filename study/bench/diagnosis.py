"""`python -m study.bench.diagnosis`: does the diagnosis say of labelled runs what their construction implies?

Every set-up of `study.bench.labelled` is trained with two seeds, small networks, no tracking: on the runs of seed 0 the
thresholds were tuned, those of seed 1 are fresh. The tables are Markdown, for `docs/diagnosis.md`.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from study.bench.labelled import LABELS, Setting, settings
from study.schema.model import MODELS

SEEDS = {0: "tuned on", 1: "fresh", 2: "fresh"}
SMALL = ("model.hidden_size=24", "trainer.progress_bar=false", "probe.per_decade=2", "trainer.validate_every=100000")
QUICK = 9
"""`--quick` trains every ninth set-up, of one seed."""


class Judged(NamedTuple):
    """A run with the diagnosis it got.

    Attributes:
        answers: outcome, verdict, cause.
        sentence: as a reader gets it.
    """

    setting: Setting
    seed: int
    answers: tuple[str, str, str]
    sentence: str

    @property
    def right(self) -> bool:
        """Whether all three answers are among those that the label allows."""
        label = LABELS[self.setting.label]
        allowed = (label.outcomes, label.verdicts, label.causes)
        return all(answer in words for answer, words in zip(self.answers, allowed, strict=True))


def judge_run(setting: Setting, seed: int) -> Judged:
    """Train one labelled run and diagnose it, as `study.train` does, without a record."""
    from hydra import compose, initialize_config_dir

    from study import opponents
    from study.analysis import result
    from study.analysis.diagnosis.facts import Setup
    from study.data import folder
    from study.installation import CONF
    from study.schema import validate
    from study.tracking import provenance
    from study.train import assemble
    from study.training.trainer import fit

    with initialize_config_dir(str(CONF), version_base=None):
        config = validate(compose("train", [*SMALL, *setting.overrides, f"seed={seed}"]))
    task, module = assemble(config)
    fit(module, config.trainer, config.seed, [])
    test, guess = result.evaluate(module, task, "test"), task.baseline_metrics("test")
    digest = provenance.combined(provenance.splits(task))
    rivals = opponents.scores(task, config.task, digest, folder(None, "opponents"), config.model.bidirectional)
    hardest = rivals[opponents.best(rivals, task.primary, task.direction)]
    setup = Setup.of(config, module.clip.clips)
    found = result.judge(module, setup, result.stand(task, test, guess, hardest))
    return Judged(setting, seed, (found.outcome, found.verdict, found.cause.name), str(found))


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


def main(quick: bool, every: bool) -> int:
    """Train, judge, print; 1 if an answer is wrong."""
    chosen = [(setting, seed) for seed in SEEDS for setting in settings(tuple(MODELS))]
    chosen = chosen[::QUICK] if quick else chosen
    print(f"{len(chosen)} runs", file=sys.stderr, flush=True)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        runs = list(pool.map(judge_run, *zip(*chosen, strict=True)))
    for seed, half in SEEDS.items():
        mine = [run for run in runs if run.seed == seed]
        print(f"\nSeed {seed}, {half}: {sum(run.right for run in mine)} of {len(mine)} right\n\n{confusion(mine)}")
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
