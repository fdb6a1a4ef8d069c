"""The MLflow UI over this project's runs: `python -m study.ui [port]`."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from study.tracking import uri as place

PATIENCE = 120.0
"""Seconds the server may take to answer the first time."""


def serve(port: int) -> int:
    """Start the server on loopback with one worker, say when it answers, and wait until it ends; its exit code.

    Where `MLFLOW_TRACKING_URI` is a server already, there is nothing to start: say where it is.
    """
    runs = place.address()
    if runs.startswith("http"):
        print(_welcome(runs, "that server"))
        return 0
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # its worker pool costs seconds at every start
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
    """Wait for the first answer; False if the server ended instead, or never answered."""
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
    sys.exit(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
