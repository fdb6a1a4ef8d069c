"""The Lightning callback beside plain loops, closed forms and our own probes: what it sees is what happened."""

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, TensorDataset

from study import GradientHistory
from study.callback.layers import as_core
from study.errors import ConfigError
from study.learning.losses.mse import MSE
from study.models import Inputs, RecurrentModel
from study.probes.flow import gradient_flow
from study.tasks import Batch

UPDATES, BATCH, STEPS = 30, 8, 12
CLIP = 0.5


class Regression(pl.LightningModule):
    """A network as people write them: a layer of torch's, a linear head, a loss at every step."""

    def __init__(self, layer: nn.Module | None = None, rate: float = 0.05, optimizer: type = torch.optim.SGD):
        super().__init__()
        torch.manual_seed(0)
        self.layer = layer or nn.GRU(3, 8, batch_first=True)
        self.head, self.rate, self.kind = nn.Linear(8, 1), rate, optimizer

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.layer(inputs)[0])

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return functional.mse_loss(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.kind(self.parameters(), self.rate)


class ByHand(Regression):
    """The same under manual optimization: two updates a batch, clipped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], index: int) -> None:  # type: ignore[override]
        optimizer = self.optimizers()
        for part in zip(*(tensor.chunk(2) for tensor in batch), strict=True):
            optimizer.zero_grad()
            self.manual_backward(functional.mse_loss(self(part[0]), part[1]))
            nn.utils.clip_grad_norm_(self.parameters(), CLIP)
            optimizer.step()


class LastStep(Regression):
    """Only the last state is read."""

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return functional.mse_loss(self.head(self.layer(batch[0])[1][-1]), batch[1][:, -1])


class Packed(Regression):
    """Sequences of two lengths, packed."""

    lengths = torch.tensor([STEPS, 5] * (BATCH // 2))

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        packed = pack_padded_sequence(batch[0], self.lengths, batch_first=True, enforce_sorted=False)
        outputs = pad_packed_sequence(self.layer(packed)[0], batch_first=True)[0]
        real = torch.arange(STEPS) < self.lengths[:, None]
        return ((self.head(outputs) - batch[1])[..., 0] * real).square().mean()


class StepByStep(Regression):
    """A cell, stepped by its network; `rest` does something to the state between two steps."""

    def __init__(self, rest: Callable[[Tensor], Tensor] = lambda state: state):
        super().__init__(nn.GRUCell(3, 8))
        self.rest = rest

    def forward(self, inputs: Tensor) -> Tensor:
        state, outputs = inputs.new_zeros(len(inputs), 8), []
        for entering in inputs.unbind(1):
            state = self.layer(entering, self.rest(state))
            outputs.append(state)
        return self.head(torch.stack(outputs, 1))


def batches() -> DataLoader:
    draws = torch.Generator().manual_seed(1)
    inputs = torch.randn(UPDATES * BATCH, STEPS, 3, generator=draws)
    return DataLoader(TensorDataset(inputs, inputs.cumsum(1)[..., :1]), BATCH)


def fit(
    module: pl.LightningModule, callback: GradientHistory, resume: Path | None = None, **options: Any
) -> GradientHistory:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own, and its advice
        trainer = pl.Trainer(accelerator="cpu", enable_model_summary=False, max_epochs=1, **(quiet | options))
        trainer.fit(module, batches(), ckpt_path=resume)
    return callback


@pytest.fixture(autouse=True)
def _without_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than everything else here; one test looks at them."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("study.callback.record.pictures", lambda *_: [])


@pytest.fixture
def drawn() -> None:
    """Asked for by a test that is about pictures."""


@pytest.fixture
def callback(tmp_path: Path) -> GradientHistory:
    return GradientHistory(folder=tmp_path)


def plain_loop(module: Regression, clip: float | None, accumulate: int = 1) -> Iterator[dict[str, float]]:
    """The history of the same training, written out."""
    optimizer, loss = module.configure_optimizers(), 0.0
    for number, batch in enumerate(batches(), 1):
        part = module.training_step(batch, 0) / accumulate
        part.backward()
        loss += part.item()
        if number % accumulate == 0:
            norms = {
                f"grad_norm/{name}": float(p.grad.norm()) for name, p in module.named_parameters() if p.grad is not None
            }
            total = float(nn.utils.clip_grad_norm_(module.parameters(), clip or math.inf))
            applied = float(nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None]))
            optimizer.step()
            optimizer.zero_grad()
            yield {"loss": loss, "lr": module.rate, "grad_norm/total": total, "grad_norm/applied": applied} | norms
            loss = 0.0


@pytest.mark.parametrize(("layer", "clip", "accumulate"), [(nn.GRU, CLIP, 1), (nn.LSTM, None, 3)])
def test_the_history_is_that_of_a_plain_loop(
    callback: GradientHistory, tmp_path: Path, layer: type, clip: float | None, accumulate: int
) -> None:
    def module() -> Regression:
        return Regression(layer(3, 8, batch_first=True), optimizer=torch.optim.Adam)

    torch.manual_seed(0)
    expected = pd.DataFrame(plain_loop(module(), clip, accumulate))
    torch.manual_seed(0)
    fit(module(), callback, callbacks=[callback], gradient_clip_val=clip, accumulate_grad_batches=accumulate)
    assert list(callback.history) == list(expected)
    np.testing.assert_allclose(callback.history.to_numpy(), expected.to_numpy(), rtol=1e-5)
    assert (callback.history["grad_norm/applied"] <= callback.history["grad_norm/total"]).all()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "gradients.parquet").set_index("update"), callback.history)


def test_training_is_not_disturbed(callback: GradientHistory) -> None:
    alone, watched = Regression(), Regression()
    fit(alone, callback)
    fit(watched, callback, callbacks=[callback])
    for before, after in zip(alone.parameters(), watched.parameters(), strict=True):
        assert torch.equal(before, after)


def test_under_manual_optimization_every_step_is_an_update_seen_before_and_after_clipping(
    callback: GradientHistory,
) -> None:
    fit(ByHand(), callback, callbacks=[callback])
    found = callback.history
    assert len(found) == 2 * UPDATES
    assert (found["grad_norm/total"] > CLIP).any()
    np.testing.assert_allclose(found["grad_norm/applied"], np.minimum(found["grad_norm/total"], CLIP), rtol=1e-5)
    assert np.isfinite(found["loss"]).all()


def test_a_step_that_a_loss_scaler_skips_is_an_update_clipped_to_nothing(callback: GradientHistory) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    fit(Regression(), callback, callbacks=[callback], plugins=[plugin])
    found = callback.history
    assert not np.isfinite(found["grad_norm/total"].iloc[0])
    assert found["grad_norm/applied"].iloc[0] == 0
    assert np.isfinite(found.iloc[-1]).all()
    assert found["grad_norm/total"].iloc[-1] < 1e3  # unscaled
    assert callback.diagnosis is not None
    assert callback.diagnosis.outcome == "completed"
    assert callback.diagnosis.clipping == "none"


def test_a_training_that_leaves_the_finite_numbers_is_diverged_and_no_crash(tmp_path: Path, drawn: None) -> None:
    callback = GradientHistory(horizon=5, folder=tmp_path)
    fit(Regression(rate=1e8), callback, callbacks=[callback])
    assert callback.diagnosis is not None
    assert callback.diagnosis.outcome == "diverged"
    assert callback.diagnosis.cause.name == "step size"
    assert callback.diagnosis.cause.change.startswith("lr=1e+07")
    assert len(callback.history) == UPDATES
    assert not np.isfinite(callback.history["loss"].iloc[-1])
    page = (tmp_path / "report" / "run.html").read_text()
    assert "diverged" in page
    assert page.count("<figure") == 4
    assert "elman" not in page  # nothing of our defaults


def test_a_network_without_a_recurrent_layer_has_a_history_and_no_flow(tmp_path: Path) -> None:
    class Plain(Regression):
        def __init__(self) -> None:
            super().__init__(nn.Linear(3, 8))

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.layer(inputs))

    callback = GradientHistory(horizon=5, folder=tmp_path)
    fit(Plain(), callback, callbacks=[callback])
    assert len(callback.history) == UPDATES
    assert callback.flow is None
    assert any("not measured: no recurrent layer found" in said for said in callback.not_measured)
    assert callback.diagnosis is not None
    assert callback.diagnosis.verdict == "undecided"
    assert not (tmp_path / "flow.parquet").exists()


def reference(layer: nn.Module, head: nn.Linear) -> np.ndarray:
    """log(phi_k / phi_0) by our own probe: the same parameters, the first batch, the loss of its last step."""
    model = RecurrentModel(Inputs(3, False), as_core(layer), 1)  # type: ignore[arg-type]
    model.head = head
    inputs, targets = next(iter(batches()))
    batch = Batch(inputs.transpose(0, 1), targets.transpose(0, 1))
    found = gradient_flow(model, MSE(), batch, STEPS - 1, samples=1).memory.log_phi
    return found - found[0]


def flow_at_the_start(callback: GradientHistory) -> np.ndarray:
    assert callback.flow is not None, callback.not_measured
    found = callback.flow.query("update == 0 and of == 'memory'")["log_phi"].to_numpy()
    return found - found[0]


@pytest.mark.parametrize(
    "module",
    [
        lambda: Regression(nn.LSTM(3, 8, num_layers=2, batch_first=True)),
        lambda: Regression(nn.GRU(3, 8, batch_first=True, bias=False)),
        lambda: LastStep(nn.RNN(3, 8, nonlinearity="relu", batch_first=True)),
        StepByStep,
    ],
)
def test_the_flow_is_that_of_our_own_probe(callback: GradientHistory, module: Callable[[], Regression]) -> None:
    built = module()
    expected = reference(built.layer, built.head)
    fit(built, callback, callbacks=[callback], max_steps=2)
    np.testing.assert_allclose(flow_at_the_start(callback), expected, rtol=1e-4, atol=1e-4)


def test_of_packed_sequences_the_flow_starts_at_the_end_of_each(callback: GradientHistory) -> None:
    fit(module := Packed(), callback, callbacks=[callback], max_steps=1)
    assert callback.flow is not None
    assert callback.flow["lag"].max() == module.lengths.min() - 1  # half of them are as long as that, and no longer
    assert np.isfinite(callback.flow["log_phi"]).all()


def test_what_cannot_be_measured_is_said_not_guessed(callback: GradientHistory) -> None:
    fit(StepByStep(lambda state: 0.5 * state), callback, callbacks=[callback], max_steps=2)
    assert callback.flow is None
    assert any("does something to the state" in said for said in callback.not_measured)
    fit(Regression(nn.LSTM(3, 4, bidirectional=True, batch_first=True)), callback, callbacks=[callback], max_steps=2)
    assert any("bidirectional" in said for said in callback.not_measured)
    fit(Regression(), callback, callbacks=[callback], max_steps=2)
    assert any("horizon=" in said for said in callback.not_measured)
    assert callback.diagnosis is not None
    assert callback.diagnosis.verdict == "undecided"
    assert "is not stated, so it is not judged" in callback.diagnosis.sentence


def test_a_training_it_cannot_see_truly_is_refused(callback: GradientHistory) -> None:
    class Two(ByHand):
        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.head.parameters(), 0.1), torch.optim.SGD(self.layer.parameters(), 0.1)]

    with pytest.raises(ConfigError, match="Two has 2 optimizers"):
        fit(Two(), callback, callbacks=[callback])
    wanting = GradientHistory(layer="encoder")
    with pytest.raises(ConfigError, match=r"layer = 'encoder': no recurrent layer has this name \(allowed: layer\)"):
        fit(Regression(), wanting, callbacks=[wanting])
    with pytest.raises(ConfigError, match="horizon = 0"):
        GradientHistory(horizon=0)
    for name in ("history", "flow"):
        with pytest.raises(ConfigError, match="before a fit has started"):
            getattr(GradientHistory(), name)


def test_a_resumed_training_has_its_whole_history(tmp_path: Path) -> None:
    class Ending(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            if trainer.global_step == 10:
                trainer.save_checkpoint(tmp_path / "at10.ckpt")
                raise KeyboardInterrupt

    whole, part = GradientHistory(folder=tmp_path / "a"), GradientHistory(folder=tmp_path / "b")
    fit(Regression(), whole, callbacks=[whole])
    with pytest.raises(SystemExit):
        fit(Regression(), part, callbacks=[part, Ending()])
    assert len(pd.read_parquet(tmp_path / "b" / "gradients.parquet")) == 10
    resumed = GradientHistory(folder=tmp_path / "c")
    fit(Regression(), resumed, resume=tmp_path / "at10.ckpt", callbacks=[resumed])
    assert resumed.history.index.tolist() == list(range(1, len(resumed.history) + 1))
    pd.testing.assert_frame_equal(resumed.history.iloc[:10], whole.history.iloc[:10])
