"""MLflow's server for a row, and a gate before it that answers wrongly or slowly."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


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


class Gate(ThreadingHTTPServer):
    """Stands before a server and passes requests on.

    Attributes:
        port: of the server.
        failing: whether requests are answered with 500.
        delay: seconds before each answer.
    """

    daemon_threads = True

    def __init__(self, port: int):
        super().__init__(("127.0.0.1", 0), _Passing)
        self.port, self.failing, self.delay = port, False, 0.0
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def begin(self, **trouble: object) -> Callable[[], object]:
        """Set attributes; return what sets them back."""
        before = {name: getattr(self, name) for name in trouble}
        self.__dict__ |= trouble
        return lambda: self.__dict__.update(before)


class _Passing(BaseHTTPRequestHandler):
    server: Gate

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.server.delay)
        status, answer, headers = 500, b"out of order", {}
        if not self.server.failing:
            kept = {key: value for key, value in self.headers.items() if key not in ("Host", "Connection")}
            asked = Request(f"http://127.0.0.1:{self.server.port}{self.path}", body or None, kept, method=self.command)
            try:
                with urlopen(asked) as answered:
                    status, answer, headers = answered.status, answered.read(), dict(answered.headers)
            except HTTPError as error:
                status, answer, headers = error.code, error.read(), dict(error.headers)
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass


@contextmanager
def gated(folder: Path) -> Iterator[Gate]:
    """A server with a gate before it."""
    server = started(folder, port := free_port())
    gate = Gate(port)
    try:
        yield gate
    finally:
        gate.shutdown()
        gate.server_close()
        server.kill()
        server.wait()
