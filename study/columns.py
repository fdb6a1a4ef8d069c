"""The columns of a run's history, by name, and what is read off them. No torch: reports need none."""

import numpy as np
from jaxtyping import Float

FIXED = ("loss", "lr", "grad_norm/total", "grad_norm/applied")
LOSS, RATE, TOTAL, APPLIED = 0, 1, 2, 3
"""Of every history, and their places in a row."""
LIMIT, SHARE = "clip/limit", "clip/share"
"""Further columns, of clip policies: the norm limit in force, NaN while there is none; and how much of what the policy
looks at (parameters, units, states of the network) it changed in an update, from 0 to 1."""


def column(parameter: str) -> str:
    """The column of a parameter's gradient norm."""
    return f"grad_norm/{parameter}"


def acted(
    total: Float[np.ndarray, " updates"],
    applied: Float[np.ndarray, " updates"],
    share: Float[np.ndarray, " updates"] | None = None,
) -> Float[np.ndarray, " updates"]:
    """How much of every update's gradient was clipped, from 0 to 1; NaN where its norm is not finite.

    A step that was skipped is one that was clipped to nothing.

    Args:
        total: its norm before clipping.
        applied: after it.
        share: of the parts that the policy looks at, as it recorded it; None: it looks at the whole.
    """
    found = (applied < total).astype(float) if share is None else share.astype(float)
    return np.where(np.isfinite(total) | (applied == 0), found, np.nan)


def scaled(
    total: Float[np.ndarray, " updates"], applied: Float[np.ndarray, " updates"]
) -> Float[np.ndarray, " updates"]:
    """Applied over total norm of every update: what clipping made of its length."""
    with np.errstate(all="ignore"):
        return np.where(applied == total, 1.0, np.where(applied == 0, 0.0, applied / total))  # also 0 of NaN
