"""MLflow's server for a row, and a gate before it that answers wrongly or slowly."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A server over a database in a folder, once it answers."""
    arguments = [f"sqlite:///{folder}/mlflow.db", str(port), "--artifacts", str(folder / "files")]
    with (folder / "server.log").open("a") as log:
        command = [sys.executable, "-m", "study.tracking.server", *arguments]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    while server.poll() is None:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return server
        time.sleep(0.2)
    raise RuntimeError((folder / "server.log").read_text())


class Gate:
    """Stands before a server and passes on what clients send and what it answers.

    Args:
        port: of the server.

    Attributes:
        failing: whether requests are answered with 500 here.
        delay: seconds before each part of a request is passed on.
        uri: of the gate.
    """

    def __init__(self, port: int):
        self.port, self.failing, self.delay = port, False, 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, **trouble: object) -> Callable[[], object]:
        """Set attributes; return what sets them back."""
        before = {name: getattr(self, name) for name in trouble}
        self.__dict__ |= trouble
        return lambda: self.__dict__.update(before)

    def close(self) -> None:
        """Take no more clients."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.port))
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, sender: socket.socket, receiver: socket.socket, asking: bool) -> None:
        """Pass on until one of them closes; a request is delayed, or answered with 500."""
        with suppress(OSError), sender, receiver:
            while data := sender.recv(65536):
                if asking and self.failing:
                    sender.sendall(b"HTTP/1.1 500 Out of order\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    break
                time.sleep(self.delay if asking else 0)
                receiver.sendall(data)


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server over a database in a folder, and its port."""
    server = started(folder, port := free_port())
    try:
        yield server, port
    finally:
        server.kill()
        server.wait()


@contextmanager
def gated(folder: Path) -> Iterator[Gate]:
    """A server with a gate before it."""
    with running(folder) as (_, port):
        gate = Gate(port)
        try:
            yield gate
        finally:
            gate.close()
