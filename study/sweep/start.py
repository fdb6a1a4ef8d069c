"""The commands that train, started from Python: in a process of their own, which sets itself up for training."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from study.errors import ConfigError
from study.terminal import FLAG

REFUSED = 2


def start(arguments: Sequence[str], environment: Mapping[str, str]) -> Any:
    """Run `study-train` with arguments; print what it says meanwhile, and return its JSON.

    Args:
        arguments: as on the command line, unquoted.
        environment: of the process.

    Raises:
        ConfigError: the command refused them.
        RuntimeError: it failed, or was interrupted, before it had anything to show.
    """
    command = [sys.executable, "-m", "study.train", *arguments, FLAG]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=environment) as process:  # type: ignore[call-overload]
        said = []
        for line in process.stderr:
            said.append(line)
            print(line, end="")
        answer = process.stdout.read()  # one object, printed at the end: it waits for nobody
    if answer.strip():
        return json.loads(answer)
    if process.returncode == REFUSED:
        raise ConfigError("".join(said[-5:]).strip())
    raise RuntimeError(f"exit code {process.returncode}: {''.join(said[-20:])}")
