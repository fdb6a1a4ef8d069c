"""`python -m study.verify`: every gradient measure against a truth known beforehand, as a table with its error.

Nothing here is random from run to run, nothing is trained, no data are read: linear networks whose gradients have a
closed form, a map whose exponents are in every textbook, every architecture against full Jacobians by plain autograd,
networks whose two measures must agree, verdicts that must turn where theory says. All in float64. The exit code is 1
if an error exceeds its tolerance.

`python -m study.verify cell.py [rate=0.2]` is about one core: a cell of the user's own, or a registered one.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

import torch

from study.errors import ConfigError
from study.terminal import printer, takes_json
from study.verify.agreement import boundaries, prediction
from study.verify.check import Truth, show
from study.verify.closed_forms import (
    diagonal,
    fed_back,
    geometry,
    henon,
    out_of_range,
    scaled_orthogonal,
    transient_growth,
    truncation,
    units,
    weights,
)  # fmt: skip
from study.verify.conditioning import curse_of_memory, curvature, full_jacobian, near_and_far, spectrum
from study.verify.influence import influence
from study.verify.linear_cells import forget_gates, one_key, rotations, selections, update_gates
from study.verify.profiles import both_sides, fitted_lags, means, memory_part
from study.verify.truncations import adapted, forwards, random_cuts
from study.verify.twins import jacobians
from study.verify.updates import clipping, loss_values, ragged_parts, truncated

CLAIMS = "study.testing.claims"
"""What tries one core, by its address: the suites come after this room, and they need pytest."""
TRUTHS: Sequence[Truth] = (
    scaled_orthogonal, out_of_range, transient_growth, diagonal, fed_back, henon, jacobians, prediction, truncation,
    weights, units, geometry, boundaries, means, fitted_lags, memory_part, both_sides, ragged_parts, truncated,
    loss_values, clipping, curse_of_memory, full_jacobian, curvature, near_and_far, spectrum, rotations, update_gates,
    forget_gates, selections, one_key, forwards, random_cuts, adapted, influence,
)  # fmt: skip


def main(arguments: Sequence[str] = ()) -> None:
    """Check everything, show it, and fail if anything is wrong; with the name of a core, everything about that."""
    torch.set_num_threads(1)
    if arguments:
        sys.exit(_of_one(*arguments))
    checks = [check for truth in TRUTHS for check in truth()]
    wrong = [check for check in checks if not check.holds]
    show(printer(), checks)
    print(f"{len(checks) - len(wrong)} of {len(checks)} within tolerance")
    sys.exit(1 if wrong else 0)


def _of_one(core: str, *options: str) -> int:
    try:
        return int(import_module(CLAIMS).main(core, *options))
    except ConfigError as error:
        print(f"The core cannot be verified:\n{error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        print("The claims are tests: install pytest first (python -m pip install pytest)", file=sys.stderr)
    return 2


if __name__ == "__main__":
    takes_json(lambda: main(sys.argv[1:]))()
