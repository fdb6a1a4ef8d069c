"""The weights of a run as files: those it ended with and those of its best validation; tensors, nothing to unpickle.

Best is the validation with the best value of the measure that ranks runs of the task (`Task.primary`), in its
direction, the one at the end of training among them; of two equal ones the earlier. So it is the measure that early
stopping, if there is any, does not look at: that looks at the loss. Where an optimizer keeps averages, they are what is
validated, and kept.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from study.standing import Direction
from study.tasks.preprocessing import Preprocessing
from study.tracking import provenance
from study.tracking.models import BEST, DIGESTS, LAST
from study.tracking.writer import Run

FOLDER = "weights"
"""The artifact folder; the files in it are called `last` and `best`, and end in `.safetensors`."""
PREPROCESSING = "preprocessing.json"
"""What lies beside: see `study.tasks.preprocessing`."""


class BestWeights:
    """A copy of the weights at the best validation so far; made only where a validation is better than all before.

    Args:
        measure: that decides.
        direction: whether less or more of it is better.

    Attributes:
        weights: the model's state then; none before the first validation whose measure is a number.
        update: after which.
        value: of the measure then.
    """

    def __init__(self, measure: str, direction: Direction):
        self.measure, self._sign = measure, 1 if direction == "maximize" else -1
        self.weights: dict[str, Tensor] = {}
        self.update, self.value = 0, math.nan

    def offer(self, update: int, measures: Mapping[str, float], model: nn.Module) -> bool:
        """Copy the weights if this validation is the best so far; return whether it is.

        One whose loss is not finite is not: a network of NaN names some class too, and may be right by chance.
        """
        value = measures[self.measure]
        better = math.isfinite(value + measures["loss"]) and (
            not self.weights or self._sign * value > self._sign * self.value
        )
        if better:
            self.weights, self.update, self.value = copied(model), update, value
        return better

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        return {"weights": self.weights, "update": self.update, "value": self.value}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a dict returned by `state()`; from an empty one, of an older checkpoint, anew."""
        if state:
            self.weights, self.update, self.value = dict(state["weights"]), state["update"], state["value"]


def copied(model: nn.Module) -> dict[str, Tensor]:
    """A model's state, every tensor in memory of its own, also those that the model has under two names."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}


def log_last(run: Run, model: nn.Module, update: int, learnt: Preprocessing) -> None:
    """Write the weights after an update and, beside them, what the task learnt; the tag has their digest."""
    run.log_files({PREPROCESSING: json.dumps(learnt.as_dict(), ensure_ascii=False).encode()}, FOLDER)
    _log(run, LAST, copied(model), {"update": update})


def log_best(run: Run, best: BestWeights) -> None:
    """Write the weights of the best validation, if there was one, and the tag with their digest."""
    if best.weights:
        _log(run, BEST, best.weights, {"update": best.update, f"{best.measure}/val": best.value})


def _log(run: Run, which: str, weights: dict[str, Tensor], described: Mapping[str, Any]) -> None:
    on_cpu = {name: tensor.cpu() for name, tensor in weights.items()}
    content = save(on_cpu, {key: str(value) for key, value in described.items()})
    run.log_files({f"{which}.safetensors": content}, FOLDER)
    run.tag({DIGESTS[which]: provenance.digest_of(on_cpu)})
