"""Claims that every probe must meet; see `study.testing` for how to run them on a probe of your own."""

import copy
import io
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from study.learning.bptt import Carry, TruncatedBPTT
from study.learning.clipping.norm import ClipNorm
from study.models import Inputs, RecurrentModel, core_class
from study.probes.result import ProbeResult
from study.schema.defaults import option
from study.schema.model import MODELS
from study.schema.probe import ProbeConfig
from study.seeding import seed_all
from study.tasks.contract import Batch
from study.verify.networks import FEATURES, MSE, data

TIME, WIDTH, HIDDEN, LAYERS = 8, 4, 5, 2
LENGTHS = (8, 6, 8, 3)
BROKEN = (math.nan, math.inf, 1e30, 0.0)


def full_plan(name: str) -> Any:
    """The options of a registered probe in `conf/probe/full.yaml`."""
    return getattr(ProbeConfig.model_validate(option("probe", "full")), name)


def table(result: ProbeResult) -> pa.Table:
    """All columns of a result as the run keeps them."""
    return pa.Table.from_pandas(pd.DataFrame({"update": 0} | dict(result.columns())))


def trainer(name: str, bidirectional: bool = False) -> TruncatedBPTT:
    """What trains a registered core of two layers, with dropout, clipping, momentum and truncation."""
    with torch.random.fork_rng():
        seed_all(0)
        kind = core_class(name)
        cores = [kind(FEATURES, HIDDEN, LAYERS, dropout=0.3) for _ in range(1 + bidirectional)]
        network = RecurrentModel(Inputs(FEATURES, tokens=False), cores[0], 1, 0.3, *cores[1:]).double()
    k2 = None if bidirectional else 3
    return TruncatedBPTT(network, MSE, torch.optim.Adam(network.parameters(), 0.01), ClipNorm(0.1), None, k2)


def ragged(filling: float = 0.0) -> Batch:
    """Sequences of `LENGTHS` steps; inputs and targets of the padding are `filling`."""
    whole = data(TIME, WIDTH)
    mask = torch.arange(TIME)[:, None] < torch.tensor(LENGTHS)
    inputs, targets = (torch.where(mask[..., None], part, filling) for part in (whole.inputs, whole.targets))
    return Batch(inputs, targets, mask)


def everything(bptt: TruncatedBPTT) -> dict[str, Any]:
    """A copy of all that training depends on."""
    parameters = {name: (p.detach().clone(), copy.deepcopy(p.grad)) for name, p in bptt.model.named_parameters()}
    modes = [module.training for module in bptt.model.modules()]
    drawn = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(legacy=False)["state"]["pos"]}
    carried = [*(bptt.carry.state or ())] if bptt.carry else []
    optimizer = copy.deepcopy(bptt.optimizer.state_dict())
    return {"parameters": parameters, "modes": modes, "optimizer": optimizer, "carried": carried} | drawn


def updates(bptt: TruncatedBPTT) -> Iterator[int]:
    """Train on a few batches, the state carried from each to the next; the number of every update, after it."""
    seed_all(5)
    np.random.seed(5)
    carry: Carry | None = None
    done = 0
    for _ in range(2):
        for _ in bptt.updates(data(TIME + 1, WIDTH), carry):
            done += 1
            yield done
        carry = bptt.carry


_RESULTS: dict[tuple[type[ProbeResult], str, str], ProbeResult] = {}


@cache
def _trained_alone(core: str) -> dict[str, Any]:
    """All that training depends on after `updates` without a probe."""
    alone = trainer(core)
    assert len(list(updates(alone))) > 4
    return everything(alone)


class ProbeContract:
    """Claims that every probe must meet. Override the fixtures `probe` and, if it has options, `plan`."""

    @pytest.fixture
    def probe(self) -> type[ProbeResult]:
        """The class of the probe."""
        raise NotImplementedError("override the fixture `probe`: return the class of your probe")

    @pytest.fixture
    def plan(self) -> Any:
        """Its options."""
        return True

    @pytest.fixture(params=MODELS)
    def core(self, request: pytest.FixtureRequest) -> str:
        """The name of the core that is measured: every registered one."""
        return request.param

    @pytest.fixture
    def result(self, probe: type[ProbeResult], plan: Any, core: str) -> ProbeResult:
        """What the probe finds on sequences of different lengths; measured once for all claims about it."""
        key = probe, core, repr(plan)
        if key not in _RESULTS:
            _RESULTS[key] = probe.measure(plan, trainer(core), ragged())
        return _RESULTS[key]

    def test_training_is_bitwise_the_same_with_it_and_without(
        self, probe: type[ProbeResult], plan: Any, core: str
    ) -> None:
        """Measuring between updates, windows and batches changes no bit of the training."""
        measured = trainer(core)
        for update in updates(measured):
            if update in (1, 3):  # in the middle of a batch, and between two
                probe.measure(plan, measured, data(TIME, WIDTH))
        torch.testing.assert_close(everything(measured), _trained_alone(core), rtol=0, atol=0)

    def test_gradients_that_are_there_stay_as_they_are(self, probe: type[ProbeResult], plan: Any, core: str) -> None:
        """Measuring between backward and step leaves the gradients alone, and modes, random and optimizer state."""
        bptt = trainer(core)
        bptt.backward(data(TIME + 1, WIDTH))
        before = everything(bptt)
        probe.measure(plan, bptt, data(TIME, WIDTH))
        torch.testing.assert_close(everything(bptt), before, rtol=0, atol=0)

    def test_the_same_model_gives_the_same_result(
        self, result: ProbeResult, probe: type[ProbeResult], plan: Any, core: str
    ) -> None:
        """Nothing in a result is random."""
        assert table(result).equals(table(probe.measure(plan, trainer(core), ragged())))

    def test_a_result_comes_back_from_a_checkpoint(self, result: ProbeResult) -> None:
        """`state()` can be saved as plain values and tensors, and `restored` gives the same result."""
        file = io.BytesIO()
        torch.save(result.state(), file)
        file.seek(0)
        again = type(result).restored(torch.load(file, weights_only=True))
        assert table(again).equals(table(result)), "columns differ"
        assert _equal(again.scalars(), result.scalars()), "scalars differ"

    def test_scalars_are_numbers_under_metric_keys(self, result: ProbeResult) -> None:
        """A few plain floats, each in a section of its own kind: `flow/decay`."""
        scalars = result.scalars()
        assert len(scalars) <= 6, f"{len(scalars)} charts are too many: the rest belongs into columns"
        for key, value in scalars.items():
            assert key.count("/") == 1, f"{key}: a metric key is section/name"
            assert type(value) is float, f"{key} is a {type(value).__name__}"

    def test_columns_make_a_table(self, result: ProbeResult) -> None:
        """Columns are of equal length, and `update` is not one of them."""
        assert "update" not in result.columns()
        assert table(result).num_columns > 1

    def test_what_stands_in_the_padding_does_not_matter(
        self, result: ProbeResult, probe: type[ProbeResult], plan: Any, core: str
    ) -> None:
        """Steps after a sequence's last one are never looked at."""
        clean, dirty = (table(found).to_pandas() for found in (result, probe.measure(plan, trainer(core), ragged(1e3))))
        pd.testing.assert_frame_equal(clean, dirty, rtol=1e-9, atol=1e-12)

    def test_it_reads_models_that_read_both_ways(self, probe: type[ProbeResult], plan: Any, core: str) -> None:
        """A bidirectional model is measured, or refused in the configuration."""
        table(probe.measure(plan, trainer(core, bidirectional=True), ragged()))

    @pytest.mark.parametrize("value", BROKEN)
    def test_a_broken_network_is_measured_all_the_same(
        self, probe: type[ProbeResult], plan: Any, core: str, value: float
    ) -> None:
        """NaN, inf, huge and zero weights are measured without an error: what is not finite is a result."""
        bptt = trainer(core)
        for parameter in bptt.model.parameters():
            parameter.data.fill_(value)
        result = probe.measure(plan, bptt, data(TIME, WIDTH))
        assert all(isinstance(number, float) for number in result.scalars().values())
        table(result)


def _equal(left: Any, right: Any) -> bool:
    """Whether two mappings hold the same numbers; NaN is NaN."""
    pairs = [(left[key], right[key]) for key in right] if left.keys() == right.keys() else [(0, 1)]
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)
