"""The process that works on a trial. Its time of birth tells it from a later process of the same number."""

import functools
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another one since every start of the machine."""


@functools.cache
def machine() -> str:
    """Where process numbers mean the same: this host, since it was started, in this container.

    Hosts, virtual machines and containers may share a name; a number of one says nothing of the others.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):  # not Linux
        parts += [BOOT.read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def current() -> dict[str, Any]:
    """This process, in values that JSON can hold."""
    return {"host": socket.gethostname(), "machine": machine(), "pid": os.getpid(), "born": _born(os.getpid())}


def is_alive(owner: dict[str, Any]) -> bool | None:
    """Whether a process lives; None if it is one of another machine, or was recorded by an earlier version."""
    if owner.get("machine") != machine():
        return None
    try:
        return _born(owner["pid"]) == owner["born"] and psutil.Process(owner["pid"]).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, OSError):
        return False


def was_here(owner: dict[str, Any]) -> bool:
    """Whether the process of a trial that was given up was one of this host, maybe before the host was restarted.

    A container of the same host name counts as this host; what an earlier version signed does not.
    """
    return owner["host"] == socket.gethostname() and "machine" in owner and not is_alive(owner)


def _born(pid: int) -> float:
    """When a process was born: where there is /proc, in ticks since the machine was started.

    psutil counts from 1970, by the clock of now: when that is set, a process seems to be another one.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        return float(stat.read_text().rpartition(")")[2].split()[19])  # field 22; the second may hold spaces
    return psutil.Process(pid).create_time()
