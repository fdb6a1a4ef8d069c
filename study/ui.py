"""The MLflow UI over tracked runs: `study-ui [port]`, or `python -m study.ui [port]`."""

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from study.errors import UNUSABLE
from study.terminal import interruptible
from study.tracking import uri as place
from study.tracking import view

PATIENCE = 120.0
"""Seconds the server may take to answer the first time."""
LOG = Path("outputs", "mlflow-ui.log")
"""Where the server's own messages go: some lines for every page that is opened."""
LISTED = 8
"""Most experiments whose addresses are printed."""


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; the exit code is the server's."""
    parser = argparse.ArgumentParser(prog="study-ui", description="Browse all runs of this folder in MLflow.")
    parser.add_argument("port", nargs="?", type=int, default=5000, help="on this machine; default 5000")
    return serve(parser.parse_args(arguments).port)


def serve(port: int) -> int:
    """Start the server on loopback, print its address once it answers, wait until it ends.

    Ctrl-C and a termination stop it. If `MLFLOW_TRACKING_URI` is a server already, only its address is printed.

    Returns:
        The exit code; 2 if the port is not free.
    """
    runs = place.address()
    if runs.startswith("http"):
        print(_welcome(runs, runs))
        return 0
    if _taken(port):
        print(f"port = {port}: no free port of this machine; choose another one", file=sys.stderr)
        return 2
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "study.tracking.server", runs, str(port)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how a job in the background, deaf to Ctrl-C, is stopped
    LOG.parent.mkdir(exist_ok=True)
    print(f"Starting MLflow, some five seconds; its messages go to {LOG}", flush=True)
    with LOG.open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            if _answers(server, address):
                print(_welcome(address, runs), flush=True)
            elif server.poll() is not None:
                lines = 1 if server.returncode == UNUSABLE else 5  # refused in one sentence, or a traceback's end
                print("".join(LOG.read_text().splitlines(keepends=True)[-lines:]), file=sys.stderr)
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait()
            return 0


def _taken(port: int) -> bool:
    """Whether nothing can listen at a port of this machine."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            tried.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return True
    return False


def _answers(server: subprocess.Popen, address: str) -> bool:
    """Wait for the first answer; return False if the server ended instead, or did not answer within `PATIENCE`."""
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return True
    return False


def _welcome(address: str, runs: str) -> str:
    links = "".join(f"  {name:20} {view.address(address, number)}\n" for name, number in _experiments(address)[:LISTED])
    return (
        f"\nThe runs in {runs} are at {address}\n{links}"
        "The button with the chart above a table draws them: loss, gradient norm before clipping (total) and after it "
        "(applied), flow.\n"
        "Filter with  tags.verdict = 'vanishing'  or  tags.outcome = 'diverged'.  Ctrl-C stops."
    )


def _experiments(address: str) -> list[tuple[str, str]]:
    """Names and ids of the experiments that have the view, the newest first; none of a server that does not say."""
    asked = json.dumps({"max_results": 1000, "order_by": ["last_update_time DESC"]}).encode()
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search", asked, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer).get("experiments", [])
    except (OSError, ValueError):  # not running, not MLflow, or not without a password: its address is all there is
        return []
    viewed = [e for e in found if any(tag["key"] == view.TAG for tag in e.get("tags", []))]
    return [(e["name"], e["experiment_id"]) for e in viewed]


if __name__ == "__main__":
    sys.exit(main())
