"""The process that works on a trial. Its time of birth tells it from a later process of the same number."""

import os
import socket
from typing import Any

import psutil


def current() -> dict[str, Any]:
    """This process, in values that JSON can hold."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def is_dead(owner: dict[str, Any]) -> bool:
    """Whether a process of this host is gone or a zombie; nothing is known of other hosts' processes."""
    if owner["host"] != socket.gethostname():
        return False
    try:
        process = psutil.Process(owner["pid"])
        return process.create_time() != owner["born"] or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
