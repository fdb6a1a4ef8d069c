"""What a run records so that it can be reproduced: code, packages, machine, and digests of data and weights.

A run's numbers are decided by its configuration, the code, the packages, the machine and the data. The first is plain
values (`study.tracking.description`); this is the rest. No MLflow here.
"""

import os
import platform
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from study.installation import CHECKOUT
from study.tasks import SPLITS, Task
from study.tracking import plain
from study.tracking.changes import changes, git

STUDY = Path(__file__).resolve().parents[1]
RESUMED = "resumed_after_"
"""Prefix of the artifact folder that a resume writes; the number of updates made before it follows."""
LONGEST_TAG = 5000
"""Most characters of a tag that every MLflow store takes."""
PIECE = 1 << 20
"""Numbers of a tensor that are put in order at a time for its digest."""
COMPUTING = ("torch", "numpy", "pytorch-lightning")
"""The packages whose versions are most likely to change a bit."""


def definition(config: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """The files that define a run, by name: with them and its data set anyone can reproduce it.

    Args:
        config: see `study.tracking.description.Description`.
        overrides: as typed.
    """
    return {
        "config.yaml": plain.write(dict(config)),
        "overrides.yaml": plain.write(list(overrides)),
        "environment.yaml": plain.write(environment()),
        "packages.txt": "\n".join(packages()) + "\n",
        "changes.patch": str(changes()),
    }


def fingerprints(parts: Mapping[str, tuple[str, int]], model: nn.Module) -> dict[str, str]:
    """Digests that equal runs share, as tags: the commit, the data (of its `splits`), the initial weights.

    Where source that differs from the commit was not kept, a tag says which.
    """
    lacking = {"code_not_kept": "; ".join(changes().withheld)} if changes().withheld else {}
    return {"git_commit": commit(), **lacking, "data_digest": combined(parts), "weights_initial": weights(model)}


def circumstances(overrides: Sequence[str]) -> dict[str, str]:
    """What it takes to get a run's numbers again, as tags: what was typed, the versions that compute, the CPU.

    What was typed is one text that a shell splits again; empty where MLflow would refuse it for its length.
    """
    typed, cpu = shlex.join(overrides), f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}"
    return {"overrides": typed if len(typed) <= LONGEST_TAG else "", "versions": versions(), "cpu": cpu}


@lru_cache
def versions() -> str:
    """Python and the packages that compute."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in COMPUTING)])


@lru_cache
def commit(root: Path | None = CHECKOUT) -> str:
    """The project's commit, with a `+` where tracked files differ from it; `unknown` outside a checkout."""
    if root is None:  # an installed package: the repository around it, if there is one, is another project's
        return "unknown"
    return git(root, "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*").strip() or "unknown"


@lru_cache
def packages() -> tuple[str, ...]:
    """Every installed package as `name==version`, sorted."""
    return tuple(sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}, key=str.lower))


def environment() -> dict[str, str | int | bool]:
    """The source and the machine: everything beside configuration, packages and data that can change a bit."""
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
    """Digest of the source files in `study/`: equal for two checkouts of the same code, and for its wheel.

    The Hydra plugins are left out: they start processes and decide no number, and a wheel has them beside `study/`.
    """
    files = sorted(file for file in STUDY.rglob("*.py") if file.parent.name != "hydra_plugins")
    texts = [(str(file.relative_to(STUDY.parent)), file.read_bytes()) for file in files]
    return _digest(part for name, text in texts for part in (name.encode(), text))


def weights(model: nn.Module) -> str:
    """Digest of a model's state: names, types, shapes and every bit."""
    return digest_of(model.state_dict())


def digest_of(state: Mapping[str, Tensor]) -> str:
    """The same of a model's state."""
    return _digest(part for name, tensor in state.items() for part in (name.encode(), *_bits(tensor)))


def data(task: Task) -> str:
    """Digest of every tensor of the three splits; independent of the order a seed puts them in."""
    return combined(splits(task))


def splits(task: Task) -> dict[str, tuple[str, int]]:
    """Digest and size of every split."""
    parts = {split: task.batches(split) for split in SPLITS}
    return {name: (_digest(x for t in part.tensors() for x in _bits(t)), part.size) for name, part in parts.items()}


def combined(parts: Mapping[str, tuple[str, int]]) -> str:
    """One digest of all `splits`."""
    return _digest(digest.encode() for digest, _ in parts.values())


def _bits(tensor: Tensor) -> tuple[bytes, Tensor]:
    return f"{tensor.dtype} {tuple(tensor.shape)}".encode(), tensor


def _digest(parts: Iterable[bytes | Tensor]) -> str:
    """128 bits of BLAKE2, in hexadecimal; each part is preceded by its length in bytes."""
    total = blake2b(digest_size=16)
    for part in parts:
        total.update((part.nbytes if isinstance(part, Tensor) else len(part)).to_bytes(8, "big"))
        for piece in _pieces(part) if isinstance(part, Tensor) else (part,):
            total.update(piece)
    return total.hexdigest()


def _pieces(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor, in its order, some rows at a time: a transposed one is not copied whole."""
    rows = tensor.detach().reshape(1) if tensor.ndim == 0 else tensor.detach()
    for some in rows.split(max(1, PIECE * len(rows) // max(1, rows.numel()))):
        yield some.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


@lru_cache
def _processor() -> str:
    """The model of the CPU, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _gpu() -> str:
    """The GPU and the libraries that compute on it."""
    if not torch.cuda.is_available():
        return "none"
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def _flushes_denormals() -> bool:
    """Whether half of the smallest normal number is zero."""
    return bool((torch.tensor(torch.finfo(torch.float32).tiny) / 2) == 0)
