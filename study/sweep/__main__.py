"""`study-sweep`, or `python -m study.sweep`: `study-train --multirun`."""

import sys

from study import train


def main() -> None:
    """Run every arm of an experiment, or of what was typed."""
    sys.argv.insert(1, "--multirun")
    train.main()


if __name__ == "__main__":
    main()
