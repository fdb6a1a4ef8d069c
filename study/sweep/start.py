"""The commands that train, started from Python: in a process of their own, which sets itself up for training."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from tempfile import TemporaryFile
from typing import Any

from study.addresses import keep
from study.errors import UNUSABLE, ConfigError
from study.masking import KEPT
from study.terminal import FLAG


def start(arguments: Sequence[str], environment: Mapping[str, str]) -> Any:
    """Run `study-train` with arguments; print what it says meanwhile, and return its JSON.

    Args:
        arguments: as on the command line, unquoted. Passwords of addresses go by the environment: arguments are seen.
        environment: of the process.

    Raises:
        ConfigError: the command refused them.
        RuntimeError: it failed, or was interrupted, before it had anything to show.
    """
    command = [sys.executable, "-m", "study.train", *map(keep, arguments), FLAG]
    environment = {**environment, **({KEPT: os.environ[KEPT]} if KEPT in os.environ else {})}
    with TemporaryFile("w+") as file:  # no pipe: a large answer would wait there for a reader who waits for the end
        with subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE, text=True, env=environment) as process:
            said = []
            for line in process.stderr or ():
                said.append(line)
                print(line, end="")
        file.seek(0)
        answer = file.read()
    if process.returncode == UNUSABLE:
        raise ConfigError("".join(said[-5:]).strip())
    if answer.strip():
        return json.loads(answer)
    raise RuntimeError(f"exit code {process.returncode}: {''.join(said[-20:])}")
