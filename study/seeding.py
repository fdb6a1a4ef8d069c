"""Every random draw from a generator named for its purpose, so that adding one purpose changes no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import torch


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
        torch.manual_seed(derive(seed, purpose))
        yield


def set_up_torch(accelerator: str) -> None:
    """One thread, so that bits do not depend on the machine; denormals flushed to zero, so that no run crawls."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if accelerator == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
