"""Who works on a trial: a process by host, number and time of birth, so that a dead one is told from a new one."""

import os
import socket
from typing import Any

import psutil


def me() -> dict[str, Any]:
    """This process, as JSON can hold it."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def is_dead(owner: dict[str, Any]) -> bool:
    """Whether a process of this host is gone or a zombie; of another host's nothing is known."""
    if owner["host"] != socket.gethostname():
        return False
    try:
        process = psutil.Process(owner["pid"])
        return process.create_time() != owner["born"] or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
