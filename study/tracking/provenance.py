"""What a run keeps so that it can be made again: the code, the packages, the machine, and digests of its bits.

A run is decided by its configuration, the code, the packages under it, the machine it runs on and the data it reads.
The first is a file of values; this is the rest. No MLflow here.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import distributions
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from study.schema import Config
from study.tasks import SPLITS, Task

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("*.py", "*.yaml", "*.toml")
"""New files that are kept with the uncommitted changes; others may be data, or nobody's business."""
RESUMED = "resumed_after_"
"""Start of the names of the folders with what was kept when a run was gone on with, the number of updates follows."""
PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
"""What `git apply` needs of a patch, whatever the user has configured for reading."""
LARGEST = 1_000_000
"""Characters of uncommitted changes that are kept."""


def definition(config: Config, overrides: Sequence[str]) -> dict[str, str]:
    """The files that define a run, by name: with them and its data set anyone can make it again.

    Where data and runs lie, and the sweep around it, are not in it: they are this machine's, and may hold passwords.
    """
    return {
        "config.yaml": OmegaConf.to_yaml(config.model_dump(exclude={"data": True, "tracking": {"uri"}, "sweep": True})),
        "overrides.yaml": OmegaConf.to_yaml(list(overrides)),
        "environment.yaml": OmegaConf.to_yaml(environment()),
        "packages.txt": "\n".join(packages()) + "\n",
        "changes.patch": changes(),
    }


def fingerprints(parts: Mapping[str, tuple[str, int]], model: nn.Module) -> dict[str, str]:
    """What two runs must share to be the same, as tags: the code, the data (its `splits`), the first weights."""
    return {"git_commit": commit(), "data_digest": _together(parts), "weights_initial": weights(model)}


@lru_cache
def commit(root: Path = ROOT) -> str:
    """The project's commit, with a `+` where tracked files differ from it; `unknown` outside a checkout."""
    return _git(root, "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*").strip() or "unknown"


@lru_cache
def changes(root: Path = ROOT) -> str:
    """What is not committed, as a patch that `git apply` takes on a checkout of the commit; empty where all is.

    New source files are in it. Above `LARGEST` only the names of the files remain.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")  # a copy, so that new files can be named without touching the user's own
        staged = root / _git(root, "rev-parse", "--git-path", "index").strip()
        if not staged.is_file():
            return ""
        shutil.copy(staged, index)
        new = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *SOURCES)
        listed = ["add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"]
        _git(root, *listed, stdin=new, index=index)
        patch = _git(root, "diff", *PLAIN, "--binary", "HEAD", index=index)
        if len(patch) <= LARGEST:
            return patch
        return f"{len(patch)} characters, too many to keep:\n" + _git(root, "diff", "--stat", "HEAD", index=index)


@lru_cache
def packages() -> tuple[str, ...]:
    """Every installed package as `name==version`, sorted."""
    return tuple(sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}, key=str.lower))


def environment() -> dict[str, str | int | bool]:
    """The program text and the machine: all that can change a bit beside configuration, packages and data."""
    return {
        "source": source(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": _gpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "flush_denormal": _flushes_denormals(),
        "matmul_precision": torch.get_float32_matmul_precision(),
    }


@lru_cache
def source() -> str:
    """Digest of the program text in `study/`: equal for two checkouts of the same code, whatever their history."""
    files = sorted((ROOT / "study").rglob("*.py"))
    return _digest(part for file in files for part in (str(file.relative_to(ROOT)).encode(), file.read_bytes()))


def weights(model: nn.Module) -> str:
    """Digest of a model's state: names, types, shapes and every bit."""
    return _digest(part for name, tensor in model.state_dict().items() for part in (name.encode(), *_bits(tensor)))


def data(task: Task) -> str:
    """Digest of every tensor the three splits are made from, whatever the order a seed puts them in."""
    return _together(splits(task))


def splits(task: Task) -> dict[str, tuple[str, int]]:
    """Digest and size of every split."""
    parts = {split: task.batches(split) for split in SPLITS}
    return {name: (_digest(x for t in part.tensors() for x in _bits(t)), part.size) for name, part in parts.items()}


def _together(parts: Mapping[str, tuple[str, int]]) -> str:
    """One digest of all `splits`."""
    return _digest(digest.encode() for digest, _ in parts.values())


def _bits(tensor: Tensor) -> tuple[bytes, memoryview]:
    values = tensor.detach().cpu().contiguous()
    return f"{values.dtype} {tuple(values.shape)}".encode(), values.reshape(-1).view(torch.uint8).numpy().data


def _digest(parts: Iterable[bytes | memoryview]) -> str:
    """128 bits of BLAKE2, in hexadecimal; each part is preceded by its length."""
    total = blake2b(digest_size=16)
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()


def _processor() -> str:
    """The model of the CPU, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _gpu() -> str:
    """The GPU and the libraries that draw its bits."""
    if not torch.cuda.is_available():
        return "none"
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def _flushes_denormals() -> bool:
    """Whether half of the smallest normal number is zero."""
    return bool((torch.tensor(torch.finfo(torch.float32).tiny) / 2) == 0)


def _git(root: Path, *arguments: str, stdin: str = "", index: Path | None = None) -> str:
    """What git prints; nothing outside a checkout or without git. Bytes that are no text come through unharmed."""
    if shutil.which("git") is None:
        return ""
    env = {**os.environ, **({"GIT_INDEX_FILE": str(index)} if index else {})}
    done = subprocess.run(
        ["git", *arguments], cwd=root, env=env, input=stdin, capture_output=True, check=False,
        encoding="utf-8", errors="surrogateescape",
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else ""
