"""`study-what-if RUN [CLIPS]`: what other clip policies would have done to every update of a run, or of an experiment.

From the recorded norms alone, in seconds: nothing is trained. What only training can tell is left to the experiment
file that it writes.
"""

import sys
from typing import TYPE_CHECKING

from study.ask.clips import PERCENTILES, SYNTAX, wanted
from study.ask.command import answered, parser
from study.terminal import interruptible

if TYPE_CHECKING:
    from study.ask.finding import Finding
    from study.ask.replays import Replayed


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Replay and say what was found; the exit code says whether there is an answer."""
    command = parser("what-if", "What other clip policies would have done to every update.", several=True)
    default = f"all, thresholds at percentiles {', '.join(map(str, PERCENTILES))} of the run's norms"
    command.add_argument("clips", nargs="*", help=f"policies: {SYNTAX}; default: {default}")
    given = command.parse_intermixed_args(arguments)

    def ask() -> "Finding":
        replayed = replay_all(given.store, given.run, " ".join(given.clips), given.trust_code)
        from study.ask import what_if_experiment, what_if_run

        if len(replayed) == 1:
            return what_if_run.finding(replayed[0], given.folder)
        return what_if_experiment.finding(replayed)

    return answered(given, ask)


def replay_all(store: str, run: str, clips: str, trust_code: bool = False) -> "list[Replayed]":
    """Replay policies on a run or an experiment; says first how long that takes, and shows how far it is.

    Args:
        store: MLflow tracking URI.
        run: id, name or slug.
        clips: see `study.ask.clips`.
        trust_code: whether a policy that was logged with a run may be executed.

    Raises:
        ConfigError: there is no such run or policy, or no run recorded updates.
        Untrusted: a run was trained with a policy that was logged with it.
    """
    policies = wanted(clips)
    from rich.console import Console
    from rich.progress import track

    from study.ask.replays import ask, cost, refuse_empty
    from study.reproduce.trust import code_folder
    from study.tracking.reader import find

    runs = refuse_empty(find(store, run))
    print(cost(runs, policies), file=sys.stderr)
    shown = track(runs, "replaying", console=Console(stderr=True), transient=True, disable=len(runs) == 1)
    with code_folder(trust_code) as folder:
        return [ask(one, policies, folder) for one in shown]


if __name__ == "__main__":
    sys.exit(main())
