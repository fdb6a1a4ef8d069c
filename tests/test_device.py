"""No update waits for its device, whatever is chosen: shown on torch's `meta`, which has no numbers to read back."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from study import models
from study.learning import bptt, clipping, losses, optimizers, regularizers
from study.learning.bptt import TruncatedBPTT, Update
from study.learning.bptt.adaptive import AdaptiveBPTT
from study.learning.clipping.norm import ClipNorm
from study.learning.losses.mse import MSE
from study.models import Inputs, RecurrentModel
from study.schema.bptt import TRUNCATIONS
from study.schema.loss import LOSSES
from study.schema.model import MODELS
from study.schema.optimizer import OPTIMIZERS
from study.schema.regularizer import REGULARIZERS
from study.tasks import Batch
from study.verify.waiting import NOWHERE, NeverWaiting
from tests.composed import member

TIME, WIDTH, FEATURES = 6, 3, 4
MASK = torch.arange(TIME)[:, None] < torch.tensor([6, 4, 2])
MASKS = pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
SIZES = {"regression": 2, "binary": 2, "multiclass": 4}


def network(name: str = "elman", outputs: int = 1, constants: int = 0, **changes: object) -> RecurrentModel:
    config = member(MODELS, "model", name, hidden_size=5, **changes)
    return models.build(config, Inputs(FEATURES, tokens=False), outputs, constants).to(NOWHERE)


def batch(mask: Tensor | None = None, targets: Tensor | None = None) -> Batch:
    return Batch(torch.randn(TIME, WIDTH, FEATURES), torch.randn(TIME, WIDTH, 1) if targets is None else targets, mask)


def plain(model: RecurrentModel, **options: Any) -> TruncatedBPTT:
    return TruncatedBPTT(model, MSE(), torch.optim.Adam(model.parameters()), ClipNorm(1.0), **options)


def updates(trainer: TruncatedBPTT, data: Batch) -> list[Update]:
    """Those of a batch on the device, after a first one, in which an optimizer makes its state."""
    moved = data.to(NOWHERE)
    list(trainer.updates(moved))
    with NeverWaiting():
        return list(trainer.updates(moved))


@pytest.mark.parametrize("name", MODELS)
def test_no_core_waits(name: str) -> None:
    found = updates(plain(network(name), k2=3), batch(MASK))
    assert len(found) == 2
    assert all(update.loss.is_meta for update in found)


def test_no_core_that_reads_backwards_waits() -> None:
    assert updates(plain(network(bidirectional=True)), batch(MASK))


@MASKS
@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in LOSSES for kind in LOSSES.config(name).fits])
def test_no_loss_waits(name: str, kind: str, mask: Tensor | None) -> None:
    size = SIZES[kind]
    loss = losses.build(member(LOSSES, "loss", name, scale="initial"))
    model = network(outputs=loss.outputs(size), constants=loss.constants(size))
    classes = torch.zeros(TIME, WIDTH, dtype=torch.long)
    data = batch(mask, torch.randn(TIME, WIDTH, size) if kind == "regression" else classes)
    assert updates(TruncatedBPTT(model, loss, torch.optim.Adam(model.parameters()), ClipNorm(1.0)), data)


@MASKS
@pytest.mark.parametrize("update", ["window", "sequence"])
@pytest.mark.parametrize("name", TRUNCATIONS)
def test_no_truncation_waits_but_where_it_chooses_by_what_it_measures(
    name: str, update: str, mask: Tensor | None
) -> None:
    """The adaptive one reads gradients back once in `every` updates; between, it waits as little as the others."""
    model, config = network(), member(TRUNCATIONS, "bptt", name, update=update)
    trainer = bptt.build(config, model, MSE(), torch.optim.Adam(model.parameters()), ClipNorm(1.0), None, 0)
    if isinstance(trainer, AdaptiveBPTT):
        trainer.load_state_dict({"k2": 5, "since": 0})
    assert updates(trainer, batch(mask))


def test_no_window_of_a_stream_waits() -> None:
    trainer, data = plain(network(), k1=3, k2=8, stream=TIME), batch().to(NOWHERE)
    list(trainer.updates(data))
    with NeverWaiting():
        assert list(trainer.updates(data, trainer.carry))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_optimizer_waits(name: str) -> None:
    model = network()
    optimizer = optimizers.build(member(OPTIMIZERS, "optimizer", name), model)
    assert updates(TruncatedBPTT(model, MSE(), optimizer, ClipNorm(1.0)), batch())


@MASKS
@pytest.mark.parametrize("name", [name for name in REGULARIZERS if name != "flossing"])
def test_no_regularizer_waits_but_one_that_follows_some_sequences(name: str, mask: Tensor | None) -> None:
    """Flossing copies which sequences it follows, and the directions in which it does, to the device."""
    trainer = plain(network(), k2=3)
    trainer.regularizer = regularizers.build(member(REGULARIZERS, "regularizer", name))
    assert updates(trainer, batch(mask))


def test_a_policy_that_watches_every_state_does_not_wait() -> None:
    model, clip = network(), clipping.build(member(clipping.CLIPS, "clip", "per_step"))
    assert updates(TruncatedBPTT(model, MSE(), torch.optim.Adam(model.parameters()), clip), batch(MASK))


Read = Callable[[Tensor], object]
Work = Callable[[Tensor], Tensor]


@pytest.mark.parametrize(
    "read",
    [
        float,
        bool,
        Tensor.tolist,
        Tensor.cpu,
        Tensor.nonzero,
        lambda x: x.expand(3)[x.expand(3) > 0],
        lambda x: x.to("cpu", non_blocking=True),
        lambda x: torch.ones(3).to(x.device),
        lambda x: torch.tensor(1.0).to(x.device),
        lambda x: x.expand(3)[torch.tensor([0, 2])],
        lambda x: torch.empty_like(x).copy_(torch.ones(())),
    ],
    ids=lambda read: getattr(read, "__name__", "read"),
)
def test_whatever_waits_is_refused(read: Read) -> None:
    """Each of them is a round trip to a GPU."""
    on_device = torch.ones((), device=NOWHERE)
    with pytest.raises(RuntimeError), NeverWaiting():
        read(on_device)


@pytest.mark.parametrize(
    "work",
    [
        lambda x: torch.where(x > 1.0, 1.0 / x, 1.0),
        lambda x: x * torch.tensor(2.0),
        lambda x: x.new_full((3,), 2.0),
        lambda x: torch.ones(3).to(x.device, non_blocking=True),
        partial(torch.add, 1.0),
    ],
)
def test_what_does_not_wait_is_let_through(work: Work) -> None:
    """A number of the host's goes along with the work itself."""
    with NeverWaiting():
        assert work(torch.ones((), device=NOWHERE)).is_meta
