"""Probes that are wrong on purpose: the contract suite must name what is wrong with each."""

import inspect
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

from study.learning.bptt import TruncatedBPTT
from study.probes.result import ProbeResult
from study.probes.saturation import Saturation
from study.tasks import Batch
from study.testing.probes import BROKEN, ProbeContract, ragged, trainer

CORE = "elman"


def breaks(probe: type[ProbeResult], claim: Callable[..., None]) -> bool:
    """Whether a probe breaks a claim."""
    given: dict[str, Callable[[], Any]] = {
        "probe": lambda: probe,
        "plan": lambda: True,
        "core": lambda: CORE,
        "value": lambda: BROKEN[0],
        "result": lambda: probe.measure(True, trainer(CORE), ragged()),
    }
    arguments = [given[key]() for key in inspect.signature(claim).parameters if key != "self"]
    try:
        claim(ProbeContract(), *arguments)
    except (AssertionError, ValueError):
        return True
    return False


class Drawing(Saturation):
    """Draws from the training's random generator."""

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> Saturation:
        torch.rand(1)
        return super().measure(plan, bptt, batch)


class Evaluating(Saturation):
    """Leaves the model in evaluation mode."""

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> Saturation:
        bptt.model.eval()
        return super().measure(plan, bptt, batch)


class Forgetting(Saturation):
    """Clears the gradients that are there."""

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> Saturation:
        bptt.model.zero_grad()
        return super().measure(plan, bptt, batch)


class Training(Saturation):
    """Makes an update on the model itself."""

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> Saturation:
        list(bptt.updates(batch))
        return super().measure(plan, bptt, batch)


class Padding(Saturation):
    """Takes padding for steps."""

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> Saturation:
        return super().measure(plan, bptt, batch._replace(mask=None))


class Demanding(Saturation):
    """Refuses a model that is broken."""

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> Saturation:
        if not all(parameter.isfinite().all() for parameter in bptt.model.parameters()):
            raise ValueError("weights are not finite")
        return super().measure(plan, bptt, batch)


class Other(Saturation):
    """A right probe, of which the mutants below change what it says."""

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> "Other":
        return cls(super().measure(plan, bptt, batch).shares)


class Changing(Other):
    """Gives another number at every call."""

    def columns(self) -> dict[str, Any]:
        return super().columns() | {"draw": int.from_bytes(os.urandom(8), "big") / 2}


class Incomplete(Other):
    """Keeps only the first layer in a checkpoint."""

    def state(self) -> dict[str, Any]:
        return {"shares": super().state()["shares"][:1]}


class Ragged(Other):
    """Columns of different lengths."""

    def columns(self) -> dict[str, Any]:
        return super().columns() | {"extra": [0.0]}


class Tensors(Other):
    """A tensor as scalar."""

    def scalars(self) -> dict[str, float]:
        return {key: torch.tensor(value) for key, value in super().scalars().items()}  # type: ignore[misc]


class Plain(Other):
    """A metric key without a section."""

    def scalars(self) -> dict[str, float]:
        return {"saturation": self.mean_share("tanh")}


MUTANTS: dict[type[ProbeResult], Callable[..., None]] = {
    Drawing: ProbeContract.test_training_is_bitwise_the_same_with_it_and_without,
    Evaluating: ProbeContract.test_gradients_that_are_there_stay_as_they_are,
    Forgetting: ProbeContract.test_gradients_that_are_there_stay_as_they_are,
    Training: ProbeContract.test_training_is_bitwise_the_same_with_it_and_without,
    Padding: ProbeContract.test_what_stands_in_the_padding_does_not_matter,
    Demanding: ProbeContract.test_a_broken_network_is_measured_all_the_same,
    Changing: ProbeContract.test_the_same_model_gives_the_same_result,
    Incomplete: ProbeContract.test_a_result_comes_back_from_a_checkpoint,
    Ragged: ProbeContract.test_columns_make_a_table,
    Tensors: ProbeContract.test_scalars_are_numbers_under_metric_keys,
    Plain: ProbeContract.test_scalars_are_numbers_under_metric_keys,
}


@pytest.mark.parametrize("mutant", list(MUTANTS))
def test_a_wrong_probe_breaks_the_claim_it_contradicts(mutant: type[ProbeResult]) -> None:
    assert breaks(mutant, MUTANTS[mutant])
    assert not breaks(Other, MUTANTS[mutant])
