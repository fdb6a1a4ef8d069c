"""`study-sweep`, or `python -m study.sweep`: `study-train --multirun`."""

import sys

from study import train
from study.command import INFORMS


def main() -> None:
    """Run every arm of an experiment, or of what was typed; with an option of Hydra that only informs, run nothing."""
    if not set(INFORMS).intersection(sys.argv):
        sys.argv.insert(1, "--multirun")
    train.main()


if __name__ == "__main__":
    main()
