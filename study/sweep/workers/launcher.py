"""Workers launched, watched from here, told to stop by Ctrl-C. Whether the work is done the ledger says alone.

What a launcher returns or raises says little: a killed worker fails a whole launch of joblib, and submitit waits for a
killed task of Slurm until its next look, minutes later. So the launcher works in a thread, and nobody waits for it
longer than there are runs to make.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hydra.plugins.launcher import Launcher
from optuna.trial import TrialState

from study.sweep.trials.ledger import Ledger
from study.sweep.workers.display import Display

PAUSE = 1.0
"""Seconds between looks at the ledger."""
LINGER = 5.0
"""Seconds that workers get to leave by themselves when nothing is left to do."""
STALLED = 60.0
"""Seconds without a run under way, after there have been some, from which on all workers are taken for dead."""


class SignalCounter:
    """Counts how often the command is asked to stop; the third time it does so at once, whatever its workers do."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Count a signal."""
        self.count += 1
        if self.count > 2:
            raise KeyboardInterrupt

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count Ctrl-C and terminations while in the block.

        A Ctrl-C that was ignored stays so: a shell starts the background jobs of a script like that, for Ctrl-C to
        reach the foreground alone.
        """
        numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_workers(launcher: Launcher, ledger: Ledger, workers: Callable[[int], int], failures: int | None) -> str:
    """Launch workers until every run is made, or a launch makes none; return what went wrong in the last one.

    Args:
        launcher: of Hydra.
        ledger: says which runs are open.
        workers: how many for so many open runs.
        failures: failed runs after which it is no use to go on; None: never.

    Raises:
        KeyboardInterrupt: when all workers have left after a Ctrl-C.
    """
    problem, made = "", -1
    while (open_runs := ledger.counts()["open"]) and made != (made := _tries(ledger)):
        if failures is not None and ledger.counts()["failed"] >= failures:
            break
        problem = _launch(launcher, ledger, workers(open_runs))
    return problem


def _tries(ledger: Ledger) -> int:
    return len(ledger.study.get_trials(deepcopy=False))


def _launch(launcher: Launcher, ledger: Ledger, workers: int) -> str:
    """One launch; return what it raised, as a line."""
    raised: list[str] = []

    def launch() -> None:
        try:
            launcher.launch([[f"slug={ledger.study.study_name}"]] * workers, initial_job_idx=0)  # for folders
        except BaseException as error:
            raised.append(f"{type(error).__name__}: {error}")

    live, thread = Display(ledger), threading.Thread(target=launch, daemon=True)
    thread.start()  # a worker in this process prints into a file from now on: the display has its own way out
    _watch(thread, ledger, live)
    return "".join(raised)


def _watch(thread: threading.Thread, ledger: Ledger, live: Display) -> None:
    """Show how the ledger fills until the workers have left, or have had the time to."""
    presses, told, idle, patience = SignalCounter(), 0, 0.0, math.inf
    before = len(ledger.claimed())
    with presses.counted(), live:
        while idle < patience and _goes_on(thread, ledger):
            time.sleep(PAUSE)
            live.show()
            if presses.count > told:
                told = presses.count
                ledger.order("stop" if told == 1 else "stop at once")
                live.say("Stopping after the update under way; Ctrl-C again: at once." if told == 1 else "Stopping.")
            patience = _patience(ledger, told > 0, len(ledger.claimed()) > before)
            idle = 0.0 if patience == math.inf else idle + PAUSE
    if told:
        raise KeyboardInterrupt


def _goes_on(thread: threading.Thread, ledger: Ledger) -> bool:
    """Whether workers are left, or a run whose worker has died is still to be given up."""
    ledger.reap()
    return thread.is_alive() or TrialState.RUNNING in ledger.claimed().values()


def _patience(ledger: Ledger, told: bool, begun: bool) -> float:
    """Seconds to wait on as things stand: for ever where runs are under way, or a queue has not let workers in yet."""
    if told:
        return math.inf if TrialState.RUNNING in ledger.claimed().values() else LINGER
    counts = ledger.counts()
    if counts["running"]:
        return math.inf
    return LINGER if not counts["open"] else STALLED if begun else math.inf
