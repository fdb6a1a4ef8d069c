"""The MLflow UI over tracked runs: `study-ui [port]`, or `python -m study.ui [port]`."""

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from study.tracking import uri as place

PATIENCE = 120.0
"""Seconds the server may take to answer the first time."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; the exit code is the server's."""
    parser = argparse.ArgumentParser(prog="study-ui", description="Browse all runs of this folder in MLflow.")
    parser.add_argument("port", nargs="?", type=int, default=5000, help="on this machine; default 5000")
    return serve(parser.parse_args(arguments).port)


def serve(port: int) -> int:
    """Start the server on loopback with one worker, print its address once it answers, wait until it ends.

    Ctrl-C and a termination stop it. If `MLFLOW_TRACKING_URI` is a server already, only its address is printed.

    Returns:
        The exit code.
    """
    runs = place.address()
    if runs.startswith("http"):
        print(_welcome(runs, "that server"))
        return 0
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # its worker pool costs seconds at every start
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how a job in the background, deaf to Ctrl-C, is stopped
    server = subprocess.Popen([*command, "--backend-store-uri", runs], env={**os.environ, **quiet})
    try:
        if _answers(server, address):
            print(_welcome(address, runs), flush=True)
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0


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


def _welcome(address: str, place: str) -> str:
    return (
        f"\nThe runs in {place} are at {address}\n"
        "Pick an experiment, then the chart view of its runs: section grad_norm has `total` (before clipping) and "
        "`applied`.\nFilter the table with  tags.verdict = 'vanishing'  or  tags.outcome = 'diverged'.  Ctrl-C stops."
    )


if __name__ == "__main__":
    sys.exit(main())
