"""Where this package lies: in a checkout (also by an editable install) or among installed packages."""

import shlex
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "conf"  # a wheel carries the checkout's conf/ inside of the package: see setup.py

CHECKOUT = None if _SHIPPED.is_dir() else _PACKAGE.parent
"""Top folder of the checkout; None where the package was installed from a wheel."""
CONF = CHECKOUT / "conf" if CHECKOUT else _SHIPPED
"""Folder of the project's configuration files."""


SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0"}
"""The environment in which the libraries that report how they are used do not; who has set one of these keeps it."""


def typed(path: str) -> Path:
    """Convert a path that a user wrote: relative to the current folder, `~` is their home folder."""
    return Path(path).expanduser()


def door(name: str) -> str:
    """Return the command that opens a door such as `ui`: `make ui` in the checkout, `study-ui` anywhere else."""
    return f"make {name}" if Path.cwd() == CHECKOUT else f"study-{name}"


def program(name: str) -> str:
    """Return the command of a program in this environment, such as `mlflow`, as it is typed in a shell."""
    python = Path(sys.executable)
    here = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return shlex.join([str(here), "-m", name])


def about(name: str, run_id: str = "", change: str = "", **keys: int | str) -> str:
    """Return a command about a run as it is typed here, such as `make fork RUN=... AT=4 ARGS="clip=none"`.

    Args:
        name: of the command.
        run_id: of MLflow; empty where it is among the options.
        change: overrides.
        keys: its options, such as `at`.
    """
    opened = door(name)
    if opened.startswith("make"):
        options = [f"{key.upper()}={value}" for key, value in keys.items()]
        named, typed = f"RUN={run_id}" if run_id else "", f'ARGS="{change}"' if change else ""
    else:
        options = [f"--{key} {value}" for key, value in keys.items()]
        named, typed = run_id, change
    return " ".join(filter(None, [opened, named, *options, typed]))
