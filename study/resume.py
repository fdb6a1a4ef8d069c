"""Resume an interrupted run from its last checkpoint, to the same bits: `python -m study.resume RUN`."""

import argparse
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from study.disk import writing
from study.errors import ConfigError
from study.installation import about, typed
from study.reproduce.restore import CONFIG, restore_run
from study.reproduce.trust import FLAG, Untrusted, code_folder
from study.terminal import add_flag, interruptible, printer, printing, say
from study.tracking import spool, sweeps
from study.tracking.outbox import deliver
from study.tracking.place import Place
from study.tracking.reader import Logged, find
from study.tracking.uri import address


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Resume a run; exit code 2 where that is not possible."""
    given = _parser().parse_args(arguments)
    try:
        with writing(), printing(given.json), code_folder(given.trust_code) as code:
            say(resume(given.run, given.store, given.checkpoints, code))
    except ConfigError as error:
        if isinstance(error, Untrusted):
            say(error.show(), sys.stderr if given.json else sys.stdout)
        say(f"The run cannot be resumed:\n{error}", sys.stderr)
        return 2
    return 0


def resume(wanted: str, store: str, folder: Path | None, code: Path | None = None) -> str:
    """Resume a run that was killed, interrupted or failed; return its summary.

    Args:
        wanted: run id, unique start of one, or name.
        store: MLflow tracking URI.
        folder: of the checkpoint; None: it is looked for under `outputs/`.
        code: where code that was logged with the run is put and executed; None: such a run is refused.

    Raises:
        ConfigError: there is no such run, it has finished, or another process is training it.
    """
    run = _wanted(store, wanted)
    restored = restore_run(run, code)
    run.refuse_elsewhere(restored.config.slug)
    from study import tasks
    from study.reproduce.differences import differences, table
    from study.reproduce.fork import beginning
    from study.seeding import set_up_process
    from study.train import train
    from study.training import checkpoint

    config, folder = restored.config, folder or checkpoint.find(run.run_id)
    file = checkpoint.path(folder, run.run_id)
    if checkpoint.is_held(file):
        raise ConfigError(f"RUN = {wanted!r}: a process of this machine is still training it")
    set_up_process(config.trainer.accelerator)
    found = differences(run, restored, tasks.build(config.task, config.data, config.seed))
    if any(difference.differs for difference in found):
        printer().show("circumstances", [difference.record for difference in found], table(found))
    say(f"Resuming from {file}." if file.is_file() else f"There is no {file}: starting again.")
    start = None if file.is_file() else beginning(run, code)
    result = train(config, _overrides(run), Place(checkpoints=folder, resume=run.run_id, start=start))
    printer().keep(**result.record)
    return result.summary(config.slug, config.tracking.uri)


def _wanted(store: str, wanted: str) -> Logged:
    """The run to resume.

    Raises:
        ConfigError: saying what to type instead.
    """
    if len(runs := find(store, wanted)) > 1:
        raise ConfigError(
            f"RUN = {wanted!r} stands for {len(runs)} runs, and one is resumed; the command of the sweep, typed again, "
            "makes all that are not made"
        )
    run = runs[0]
    if (left := spool.place(run.run_id)).is_file():  # its definition may wait there, or its end
        deliver(left)
        run = find(store, run.run_id)[0]
    if run.status == "FINISHED":
        raise ConfigError(f"RUN = {wanted!r}: this run has finished; `{about('reproduce', run.run_id)}` makes it again")
    if CONFIG not in run.files("definition"):
        if run.status == "RUNNING":
            sweeps.end_killed(store, run.run_id)
        raise ConfigError(
            f"RUN = {wanted!r}: this run has no {CONFIG}, as one that was killed before it was written; the command "
            "that started it, typed again, makes it"
        )
    return run


def _overrides(run: Logged) -> list[str]:
    """What was typed to start a run; empty where its tag does not say so."""
    with suppress(ValueError):  # no text that a shell splits
        return shlex.split(run.tags.get("overrides", ""))
    return []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="study-resume", description="Resume an interrupted run.")
    parser.add_argument("run", help="run id, unique start of one, or name")
    add_flag(parser)
    parser.add_argument("--store", type=address, default=address(), help=f"MLflow tracking URI; default {address()}")
    parser.add_argument(FLAG, action="store_true", help="execute code that was logged with the run; without: show it")
    parser.add_argument("--checkpoints", type=typed, help="folder of the checkpoint; default: found under outputs/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
