"""What makes runs repeatable: a named generator for every random purpose, and one set-up of the process."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256

import torch
from torch import Tensor

from study.errors import ConfigError


def derive(seed: int, purpose: str) -> int:
    """A 63-bit seed of its own for a purpose, e.g. `derive(0, "init")`."""
    return int.from_bytes(sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for draws of one purpose."""
    return torch.Generator().manual_seed(derive(seed, purpose))


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Torch's global generator seeded for a purpose within the block, as it was before after it."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        seed_all(derive(seed, purpose))
        yield


def seed_all(seed: int) -> None:
    """Seed torch's global generators.

    As `torch.manual_seed`, which where there is no device also keeps the stack of every call, for one that may come.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def state() -> list[Tensor]:
    """The state of torch's global generators, the CPU's first."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def set_state(states: list[Tensor]) -> None:
    """Put torch's global generators back into a `state`."""
    torch.set_rng_state(states[0])
    torch.cuda.set_rng_state_all(states[1:])


def set_up_process(accelerator: str) -> None:
    """One thread, so that bits do not depend on the machine; denormals flushed to zero, so that no run crawls.

    On a GPU deterministic algorithms, where torch has them; where it has none it warns, and the same run made again
    agrees within rounding only (`python -m study.reproduce RUN --tolerance 1e-4`).

    Raises:
        ConfigError: there is no such accelerator.
    """
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator = 'cuda': no CUDA device is available here; cpu is")
    _spare_the_collector()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if accelerator == "cuda":  # cuBLAS, and cuDNN's recurrent layers through it, are deterministic only so
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(accelerator == "cuda", warn_only=True)


@cache
def _spare_the_collector() -> None:
    """Keep Python's collector from walking what is imported by now, which is never garbage, again and again.

    To walk it takes up to half of the time in which MLflow writes a history. Once a process: to ask whether it was done
    already, Python counts all that is kept.
    """
    gc.freeze()
