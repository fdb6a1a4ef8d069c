"""Deliver what runs could not write, since their store was in trouble: `python -m study.deliver [FILE ...]`."""

import argparse
import sys

from study.errors import UNUSABLE, ConfigError
from study.installation import typed
from study.terminal import interruptible, say


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Deliver; exit code 2 where a file is not, or not all of it."""
    given = _parser().parse_args(arguments)
    from study.tracking.outbox import deliver  # late: MLflow takes a second
    from study.tracking.spool import FOLDER

    files, failed = given.files or sorted(FOLDER.glob("*.jsonl")), 0
    for file in files:
        try:
            made = deliver(file)
            say(f"Run {file.stem}: {made} writes delivered." if made else f"Run {file.stem} has everything already.")
        except ConfigError as error:
            failed += 1
            say(error, sys.stderr)
    if not files:
        say(f"Nothing waits in {FOLDER}.")
    return UNUSABLE if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="study-deliver", description=__doc__)
    parser.add_argument("files", nargs="*", type=typed, metavar="FILE", help="default: all in outputs/undelivered")
    return parser


if __name__ == "__main__":
    sys.exit(main())
