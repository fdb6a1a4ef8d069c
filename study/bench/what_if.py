"""`python -m study.bench.what_if`: what `what-if` predicts of a clip policy, held against training under it.

A run without clipping is made, policies are replayed on its history, and each is then trained with the same seed. Up to
the first update that differs, that one included, the share of updates it acts in must be as predicted, and the
histories equal bit for bit; what is predicted after that is about another run, and the table shows how far off it is.
The last line is the time of a replay.
"""

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from study.analysis.what_if import Past, deeds, first_difference, replay, share_acted
from study.ask.clips import Wanted, called, changes, wanted
from study.bench.composed import composed
from study.columns import acted
from study.schema import Config
from study.train import assemble
from study.training.trainer import fit

CASES = {
    "stocks, Elman, Adam": (300, "task=forecasting_stocks model.hidden_size=8"),
    "Bible, Elman, SGD": (600, "task=language_bible_char model.hidden_size=32 optimizer=sgd optimizer.lr=2"),
}
"""Updates, and what is not usual."""
POLICIES = (*wanted("autoclip zclip percentile"), Wanted("norm", percentile=90), Wanted("norm", percentile=99))
HEADS = (
    "run",
    "policy",
    "first difference",
    "bits",
    "up to there",
    "after that",
    "whole run",
    "median norm after that",
)
QUICK = 5
"""`--quick` makes so many times fewer updates."""


def main() -> None:
    """Print the table, and what a replay takes."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="a fifth of the updates")
    shorter = QUICK if options.parse_args().quick else 1
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    print("Share of the updates acted in, and median norm: predicted / seen.\n")
    print(_line(HEADS), _line(["---"] * len(HEADS)), sep="\n")
    took = []
    for case, (updates, overrides) in CASES.items():
        made = [*overrides.split(), f"trainer.max_updates={updates // shorter}"]
        past = Past.of(trained(_config(*made, "clip=none")))
        for row in _rows(past, made):
            print(_line((case, *row)), flush=True)
        started = time.perf_counter()
        for one in POLICIES:
            replay(one.config(past.finite), past)  # type: ignore[arg-type]
        took.append(
            f"{time.perf_counter() - started:.2f} s for {len(POLICIES)} policies on {len(past.parameters)} updates"
        )
    print(f"\nA replay took {', '.join(took)}.")


def _rows(past: Past, made: Sequence[str]) -> Iterator[Sequence[str]]:
    """A policy each: predicted from the run without clipping, and seen in training."""
    did = deeds(past, replay(_config(*made, "clip=none").clip, past))
    for one in POLICIES:
        config = one.config(past.finite)
        predicted = None if config is None else replay(config, past)
        if config is None or predicted is None:
            continue
        clip = [f"clip={config.name}", *(f"clip.{key}={value}" for key, value in changes(config).items())]
        seen = Past.of(trained(_config(*made, *clip)))
        differs = first_difference(past, did, predicted)
        until = differs or len(past.parameters)
        same = np.array_equal(past.parameters[:until], seen.parameters[:until], equal_nan=True)
        ours, theirs = predicted.found, acted(seen.course.norms, seen.course.applied, seen.course.share)
        parts = [(ours[part], theirs[part]) for part in (slice(until), slice(until, None), slice(None))]
        after = [
            f"{np.median(of.course.norms[until:]):.3g}" if until < len(of.parameters) else "-" for of in (past, seen)
        ]
        shares = [f"{share_acted(a):.1%} / {share_acted(b):.1%}" if len(a) and len(b) else "-" for a, b in parts]
        yield called(config), str(differs or "none"), "equal" if same else "DIFFER", *shares, " / ".join(after)


def trained(config: Config) -> pd.DataFrame:
    """The history of a run that is tracked nowhere."""
    _, module = assemble(config)
    fit(module, config.trainer, config.seed, [])
    return module.history.table().to_pandas()


def _config(*overrides: str) -> Config:
    return composed(*overrides, "trainer.progress_bar=false", "probe=none", "trainer.validate_every=100000")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
