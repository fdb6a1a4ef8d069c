"""Whether an update waits for its device, found out on a machine that has none.

A GPU works behind the program that hands it its work, until the program wants a number back: to compare it, to print
it, to index with a mask. Then the program waits for all work so far, and the GPU, with nothing left to do, for the
program.

torch's device `meta` has shapes and no numbers. Whatever would read one back raises there, at the line that does:
`float(x)`, `x.item()`, `if x > y`, `x.tolist()`, `x.cpu()`, `x.nonzero()`, `values[mask]`. Copies to a device wait too,
unless they are made `non_blocking`, and `meta` takes them in silence: they are refused here. What this does not
show: `torch.tensor([1.0, 2.0], device=device)`, and operations of CUDA that wait inside, as some of linear algebra do.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NOWHERE = "meta"
"""The device to work on."""
COPIES = torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default


class NeverWaiting(TorchDispatchMode):
    """Refuses whatever would wait for a device, within its block, of work on `NOWHERE`.

    Raises:
        RuntimeError: a number is read back, or a tensor is copied to the device and waited for. (torch itself raises
            `NotImplementedError`, which is one, for some.)
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at one operation; see torch."""
        made = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        ahead = (kwargs or {}).get("non_blocking", False) or (func is COPIES[1] and args[2:] == (True,))
        copied = [tensor for tensor in given if tensor.is_cpu and (tensor.ndim or func in COPIES)]
        if copied and not ahead and any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in tree_leaves(made)):
            raise RuntimeError(f"{func} copies {tuple(copied[0].shape)} numbers to the device and waits for it")
        return made
