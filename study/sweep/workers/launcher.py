"""Launching workers, watching them, and stopping them on Ctrl-C.

Only the ledger says whether the work is done. What a launcher returns or raises says little: one killed worker fails a
whole launch of joblib, and submitit notices a killed task of Slurm minutes later. So the launcher runs in a thread that
is waited for no longer than there are runs to make.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from optuna.trial import TrialState

from study.disk import writing
from study.errors import Trouble
from study.masking import masked
from study.sweep.trials.ledger import Ledger
from study.sweep.workers.display import Display

PAUSE = 1.0
"""Seconds between two reads of the ledger."""
LINGER = 5.0
"""Seconds that workers get to end by themselves when nothing is left to do."""
STALLED = 60.0
"""Seconds without a running run, once there have been some, after which all workers are taken for dead."""


class SignalCounter:
    """Counts signals to stop; the third interrupts this process at once, whatever its workers do."""

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
    """Launch workers until every run is made, or a launch starts none; return what went wrong in the last launch.

    Args:
        launcher: of Hydra.
        ledger: says which runs are open.
        workers: number of workers for a number of open runs.
        failures: failed runs after which no workers are launched any more; None: no limit.

    Raises:
        KeyboardInterrupt: after a Ctrl-C, when all workers have ended.
        Trouble: a worker gave up, when all workers have ended.
    """
    problem, trials = "", -1
    while (open_runs := ledger.counts()["open"]) and trials != (trials := _count_trials(ledger)):
        if failures is not None and ledger.counts()["failed"] >= failures:
            break
        problem = _launch(launcher, ledger, workers(open_runs))
        if (error := ledger.given_up()) is not None:
            raise error
    return problem


def _count_trials(ledger: Ledger) -> int:
    return len(ledger.study.get_trials(deepcopy=False))


def _launch(launcher: Launcher, ledger: Ledger, workers: int) -> str:
    """Launch once; return what was raised, as a sentence.

    Raises:
        Trouble: a worker could not even write to the study, so that the ledger does not say how its run ended.
    """
    raised: list[BaseException] = []

    def launch() -> None:
        try:
            with writing():  # Hydra makes a folder for every worker
                jobs = launcher.launch([[f"slug={ledger.study.study_name}"]] * workers, initial_job_idx=0)
            raised.extend(filter(None, (job.return_value for job in jobs if job.status == JobStatus.COMPLETED)))
        except BaseException as error:
            raised.append(error)

    display, thread = Display(ledger), threading.Thread(target=launch, daemon=True)
    signals = SignalCounter()
    with signals.counted():  # from the first moment that there may be workers
        thread.start()  # a worker in this process redirects stdout to its log: the display has taken hold of it before
        _watch(thread, ledger, display, raised, signals)
    for error in _troubles(raised):
        raise error
    return "".join(masked(f"The launcher reported {type(error).__name__}: {error}") for error in raised)


def _watch(
    thread: threading.Thread, ledger: Ledger, display: Display, raised: list[BaseException], signals: SignalCounter
) -> None:
    """Display the ledger until the workers have ended, or have had the time to; pass signals on to them."""
    ordered, idle, patience = 0, 0.0, math.inf
    before = len(ledger.claimed())
    with display:
        while idle < patience and not _troubles(raised) and _is_working(thread, ledger):
            time.sleep(PAUSE)
            display.show()
            if signals.count > ordered:
                ordered = signals.count
                _order_to_stop(ledger, display, at_once=ordered > 1)
            patience = _patience(ledger, ordered > 0, len(ledger.claimed()) > before)
            idle = 0.0 if patience == math.inf else idle + PAUSE
    if ordered:
        raise KeyboardInterrupt


def _troubles(raised: list[BaseException]) -> list[Trouble]:
    return [error for error in raised if isinstance(error, Trouble)]


def _order_to_stop(ledger: Ledger, display: Display, at_once: bool) -> None:
    ledger.order("stop at once" if at_once else "stop")
    display.say("Stopping." if at_once else "Stopping after the current update; press Ctrl-C again to stop at once.")


def _is_working(thread: threading.Thread, ledger: Ledger) -> bool:
    """Whether workers are left, or the run of a dead one is not given up yet."""
    ledger.reap()
    if not thread.is_alive():
        ledger.leave_own()  # `reap` leaves them: their process is this one, and alive
    return thread.is_alive() or TrialState.RUNNING in ledger.claimed().values()


def _patience(ledger: Ledger, stopping: bool, started: bool) -> float:
    """Seconds to wait on: without end while runs are running, or while a queue has not started any worker yet."""
    if stopping:
        return math.inf if TrialState.RUNNING in ledger.claimed().values() else LINGER
    counts = ledger.counts()
    if counts["running"]:
        return math.inf
    return LINGER if not counts["open"] else STALLED if started else math.inf
