"""Muon for hidden matrices, AdamW for all other parameters, as one optimizer.

    B <- mu B + (1 - mu) g,   W <- (1 - lr weight_decay) W - lr 0.2 sqrt(max(rows, columns)) U V^T,

U S V^T being the singular values of (1 - mu) g + mu B (Nesterov's momentum): a step of equal length in all directions
of a matrix (Jordan et al. 2024, kellerjordan.github.io/posts/muon). Five Newton-Schulz steps in bfloat16 stand for the
decomposition, so that singular values of a step lie in about 0.7 to 1.2. The factor of 0.2 sqrt(...) gives it the size
of AdamW's steps, so that one rate serves both (Liu et al. 2025, arXiv 2502.16982). The gates of a fused layer are one
matrix, and one step is orthogonal over all of them.
"""

from collections.abc import Iterable
from typing import Any

from torch.optim import AdamW, Muon, Optimizer

from study.errors import ConfigError


class MuonWithAdamW(Optimizer):
    """torch's two optimizers under one state and one list of groups.

    Args:
        params: groups as `parameter_groups` makes them; those marked `hidden` are Muon's.
        lr: of both.
        momentum: mu, of Muon.
        weight_decay: of both, decoupled; a group may have its own.

    Raises:
        ConfigError: no group is hidden.
    """

    def __init__(self, params: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        groups = list(params)
        hidden = [group for group in groups if group["hidden"]]
        if not hidden:
            raise ConfigError(
                "optimizer.name = 'muon': the core has no matrices, so every parameter would be AdamW's; "
                "allowed: optimizer=adamw"
            )
        others = [group for group in groups if not group["hidden"]]
        muon = Muon(hidden, lr, weight_decay, momentum, adjust_lr_fn="match_rms_adamw")
        self._parts = (muon, AdamW(others, lr, weight_decay=weight_decay))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make a step of both."""
        for part in self._parts:
            part.step()

    def _share(self) -> None:
        """Give the parts this optimizer's own groups and state: a rate that is set here, or restored, is theirs."""
        muon, adamw = self._parts
        cut = len(muon.param_groups)
        muon.param_groups, adamw.param_groups = self.param_groups[:cut], self.param_groups[cut:]
        muon.state = adamw.state = self.state

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has: the parts too."""
        return super().__getstate__() | {"_parts": self._parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state, of a copy or of a checkpoint, and share it anew."""
        super().__setstate__(state)
        self._share()
