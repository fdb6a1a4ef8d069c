"""What `make verify MODEL=cell.py` says of a cell that holds, and of those that do not."""

import re
from pathlib import Path

import pytest

from study.errors import ConfigError
from study.testing.claims import main as verify
from study.testing.cores import CoreContract
from tests.own_page import changed

pytestmark = pytest.mark.usefixtures("folder")

GATED = """
from torch import nn
from study.models import Activations, Cell

class Gated(Cell):
    def __init__(self, features, hidden_size):
        super().__init__(features, hidden_size)
        self.W, self.V = nn.Linear(features, hidden_size), nn.Linear(features, hidden_size)

    def step(self, inputs, state):
        f = self.W(inputs).sigmoid()
        return (f * self.V(inputs).tanh() + (1 - f) * state[0],)

    def activations(self, inputs, state):
        return Activations(gates={"f": 1 - self.W(inputs).sigmoid()}, retention_gate="f")
"""
OTHER_UNROLL = """
    def unroll(self, inputs, state):
        outputs, state = super().unroll(inputs, state)
        return 1.01 * outputs, state
"""
CLAIMS = {
    "test_an_open_retention_gate_keeps_the_memory": (GATED.replace("1 - self.W(inputs)", "self.W(inputs)"),
        "an open retention gate keeps the memory: the gate is 1, but d new / d old is [0.0"),
    "test_forward_is_step_after_step": (GATED + OTHER_UNROLL, "forward is step after step: Tensor-likes are not"),
}  # fmt: skip


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Leave some claims of the contract: all take seconds, and are called by the first test on what holds."""
    for name in [name for name in vars(CoreContract) if name.startswith("test_") and name not in names]:
        monkeypatch.delattr(CoreContract, name)


def test_a_cell_that_meets_every_claim_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cell.py").write_text(GATED)
    assert verify("cell.py") == 0
    assert re.search(r"all \d+ claims hold; 10 of 10 measures are within tolerance", capsys.readouterr().out)


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_cell_that_breaks_a_claim_is_told_which_in_words(
    claim: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = CLAIMS[claim]
    only(monkeypatch, claim)
    Path("cell.py").write_text(text)
    assert verify("cell.py") == 1
    out = capsys.readouterr().out
    assert said in out
    assert "1 of 2 claims fail" in out


def test_a_cell_that_cannot_take_a_step_is_told_that_alone(capsys: pytest.CaptureFixture[str]) -> None:
    step = "        return ((1 - self.rate)"
    Path("cell.py").write_text(changed(step, "        return (h[:, 1:],)\n" + step))
    assert verify("cell.py", "rate=0.2") == 1
    out = capsys.readouterr().out
    assert "is built, and takes a step: cell.py, line 12: Leaky.step returns h of shape (3, 4), not (3, 5)" in out
    assert "1 of 1 claims fail" in out


def test_a_registered_core_is_verified_by_its_name_and_what_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch, "test_shapes_and_names")
    assert verify("lstm") == 0
    assert "10 of 10 measures" in capsys.readouterr().out
    for typed, said in (
        (("lstn",), "did you mean 'lstm'"),
        (("lstm", "a=1"), "as it is"),
        (("cell.py", "a"), "key=val"),
    ):
        with pytest.raises(ConfigError, match=said):
            verify(*typed)
