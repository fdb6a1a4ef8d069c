"""A small disk of one's own, to be filled or made read-only: a tmpfs that only this process and its children see.

root and, where the kernel lets them, ordinary users may have one. Elsewhere limits of this process stand for it: no
file may become larger, or folders are closed to their owner.
"""

import ctypes
import os
import resource
import subprocess
from contextlib import suppress
from pathlib import Path

NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000  # as in sched.h
SIZE = 24
"""Megabytes."""


def alone() -> bool:
    """Take this process, which has one thread, into a place where it may mount; whether that is possible."""
    user, group, root = os.getuid(), os.getgid(), os.geteuid() == 0
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS | (0 if root else NEW_USER)) != 0:
        return False
    if not root:
        with suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    return _mount("--make-rprivate", "/")


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


class SmallDisk:
    """The disk of a folder, which keeps what it holds.

    Args:
        folder: that becomes one.
        real: whether it can be mounted; else limits of the process stand for it.
    """

    def __init__(self, folder: Path, real: bool):
        self.folder, self._real = folder, real
        self._ballast = folder / "ballast"
        if real:
            kept = folder.with_name(f"{folder.name}-kept")
            folder.rename(kept)
            folder.mkdir()
            assert _mount("-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder))
            subprocess.run(["cp", "-a", f"{kept}/.", str(folder)], check=True)

    def fill(self) -> bool:
        """Leave no byte; what stands for it holds for this process alone."""
        if not self._real:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return True
        with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(1 << 16))
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(bytes(64))
        return True

    def close(self) -> bool:
        """Make it read-only; False where that cannot be, as a file in it is open."""
        if self._real:
            return _mount("-o", "remount,ro", str(self.folder))
        self.folder.chmod(0o555)
        return os.geteuid() != 0

    def mend(self) -> None:
        """Make it as it was."""
        if self._real:
            _mount("-o", "remount,rw", str(self.folder))
        self.folder.chmod(0o755)
        self._ballast.unlink(missing_ok=True)
