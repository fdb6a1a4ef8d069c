"""What a block of code does to the machine, seen by Python's audit hook: files written, addresses asked, processes."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
LEAVING = ("socket.connect", "socket.getaddrinfo", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
DEVICES = Path("/dev")
_watching: list["_Watch"] = []
_hooked: list[bool] = []


class _Watch:
    def __init__(self, allowed: Sequence[Path]):
        self.allowed = [DEVICES, *(folder.resolve() for folder in allowed)]
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in LEAVING:
            self.seen.append(f"{event} {arguments[:2]!r}"[:200])
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            self._written(event, arguments[0])
        elif event in CHANGES:
            self._written(event, _place(event, arguments))

    def _written(self, event: str, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            at = Path(os.path.realpath(os.fsdecode(path)))
            if not (event == "os.mkdir" and at.is_dir()) and not any(
                at.is_relative_to(folder) for folder in self.allowed
            ):
                self.seen.append(f"{event} {at}")


def _place(event: str, arguments: tuple[object, ...]) -> object:
    """What is changed; a name may be relative to an open folder."""
    path, folder = arguments[1] if event in ("os.rename", "os.symlink", "os.link") else arguments[0], arguments[-1]
    if event in ("os.remove", "os.rmdir", "os.mkdir") and isinstance(folder, int) and folder >= 0:
        return f"/proc/self/fd/{folder}/{os.fsdecode(path)}"  # type: ignore[arg-type]
    return path


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for watch in _watching:
        watch(event, arguments)


@contextmanager
def watching(*allowed: Path) -> Iterator[list[str]]:
    """List what the block writes outside of some folders, whom it asks and what it starts."""
    if not _hooked:
        _hooked.append(True)  # a hook is never removed
        sys.addaudithook(_hook)
    _watching.append(watch := _Watch(allowed))
    try:
        yield watch.seen
    finally:
        _watching.remove(watch)
