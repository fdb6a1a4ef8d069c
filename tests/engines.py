"""Real servers for tests, in folders of their own, gone after use: PostgreSQL, MLflow on it, Slurm; and a browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

SLURM = """
ClusterName=tests
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
NodeName={host} CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=tests Nodes={host} Default=YES State=UP
"""
"""As small as it works: no accounting, so `sacct` fails, as at many sites."""


IN_SIGHT = """([element, wide, high]) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && 0 <= box.left && box.right <= wide && 0 <= box.top && box.bottom <= high;
}"""


@contextmanager
def mlflow_server(database: str, folder: Path) -> Iterator[str]:
    """The server of `study.ui`, over runs in a database and artifacts in a folder; yields its address."""
    address, (port,) = "http://127.0.0.1", ports(1)
    command = [sys.executable, "-m", "study.tracking.server", database, str(port), "--artifacts", str(folder)]
    with daemon(command, folder, dict(os.environ)):
        wait_for(lambda: answers(f"{address}:{port}/health"))
        yield f"{address}:{port}"


def in_sight(page: Any, *words: str) -> None:
    """Wait until words stand on a page where nobody need scroll for them, the whole of each; fail if one does not."""
    for text in words:
        found = page.get_by_text(text, exact=True).first
        found.wait_for(timeout=60_000)
        page.wait_for_function(IN_SIGHT, arg=[found.element_handle(), *page.viewport_size.values()], timeout=20_000)


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """A cluster of this machine alone; yields the environment in which its commands find it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key, host = folder / "munge.key", socket.gethostname()
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(SLURM.format(host=host, folder=folder, ports=ports(2)))
    files = [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
    env = {**os.environ, "SLURM_CONF": str(conf)}
    with ExitStack() as running:
        start = lambda *command: running.enter_context(daemon(list(command), folder, env))  # noqa: E731
        start("munged", "--force", "--foreground", f"--socket={folder}/munge.socket", *files)
        wait_for((folder / "munge.socket").exists)
        start("slurmctld", "-D", "-f", str(conf))
        start("slurmd", "-D", "-f", str(conf), "-N", host)
        wait_for(lambda: succeeds(["srun", "--immediate=5", "true"], env))
        yield env
        succeeds(["scancel", "--full", "--signal=KILL", "--state=RUNNING"], env)
        succeeds(["scancel", "--state=PENDING"], env)


@contextmanager
def browser() -> Iterator[Any]:
    """A page of a browser with a fresh profile, as wide as a laptop."""
    chromium = shutil.which("chromium")
    if chromium is None or find_spec("playwright") is None:
        missing('a browser: apt-get install chromium; .venv/bin/pip install -e ".[browser]"')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started.new_context(viewport={"width": 1440, "height": 900}).new_page()
        started.close()


def slurm_is_here() -> bool:
    """Whether a cluster can be started: its programs are installed and this is root."""
    return os.geteuid() == 0 and all(map(shutil.which, ("munged", "slurmctld", "slurmd", "srun")))


def missing(engine: str) -> None:
    """Leave a test to machines that have its engine; where all must be there, as in CI, that is a failure."""
    (pytest.fail if "ALL_ENGINES" in os.environ else pytest.skip)(f"waits for {engine}")


@contextmanager
def daemon(command: list[str], folder: Path, env: dict[str, str]) -> Iterator[None]:
    """A server while the block lasts, with all its children, printing into a file."""
    with (folder / f"{Path(command[0]).name}.out").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        try:
            yield
        finally:
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            process.wait(30)
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.terminate()
            psutil.wait_procs(children, timeout=10)


def ports(number: int) -> list[int]:
    """Free ports of this machine."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def answers(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def succeeds(command: list[str], env: dict[str, str]) -> bool:
    """Whether a command ends with exit code 0."""
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until a condition holds; fail if it takes longer than is sane."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"still waiting after {seconds:.0f} s"
        time.sleep(0.2)


@contextmanager
def ray_cluster(nodes: int) -> Iterator[str]:
    """A Ray cluster on this machine, each of its nodes with one core; its address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()
