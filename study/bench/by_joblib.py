"""`python -m study.bench.by_joblib`: many runs the usual way, joblib with some processes and one Trainer a job.

Standard input is a JSON list of jobs, each a list of overrides; the runs go into the store that they name. What a job
trains, and how often it validates, is what `study.train` would make of the same overrides; see `contestants.usual`.
"""

import json
import logging
import sys
import warnings
from collections.abc import Sequence

from joblib import Parallel, delayed

from study.bench.composed import composed
from study.bench.contestants import usual
from study.tracking import store
from study.train import assemble

PROCESSES = 2


def main() -> None:
    """Make the runs."""
    jobs: list[list[str]] = json.load(sys.stdin)
    first = composed(*jobs[0])
    store.prepare(first.tracking.uri, first.slug)  # two processes that create a store at once fail
    Parallel(n_jobs=PROCESSES)(delayed(train)(overrides) for overrides in jobs)


def train(overrides: Sequence[str]) -> None:
    """Make one run."""
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    config = composed(*overrides)
    usual(config, *assemble(config))


if __name__ == "__main__":
    main()
