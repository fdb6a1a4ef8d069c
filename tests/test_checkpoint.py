"""The file of a run's state: where it lies, that it is whole, and that nothing in it is executed."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from study.errors import ConfigError
from study.schema import Config
from study.train import assemble
from study.training import checkpoint
from study.training.module import RecurrentModule


def test_a_checkpoint_is_found_wherever_a_run_or_a_sweep_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint.find("abc") == checkpoint.FOLDER
    trial = Path("outputs/tour/3")
    trial.mkdir(parents=True)
    (trial / "abc.ckpt").touch()
    assert checkpoint.find("abc") == trial


def test_a_checkpoint_holds_nothing_to_execute(tmp_path: Path) -> None:
    file = tmp_path / "x.ckpt"
    torch.save({"call": print}, file)
    with pytest.raises(ConfigError, match="no checkpoint"):
        checkpoint.load(file)
    torch.save({"model": {}}, file)
    with pytest.raises(ConfigError, match="it has no carry, history"):
        checkpoint.load(file)
    file.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ConfigError, match="no checkpoint"):
        checkpoint.load(file)


def restored(module: RecurrentModule, state: dict[str, Any]) -> RecurrentModule:
    module.load_state(state)
    return module.as_restored()


@pytest.mark.parametrize("part", ["history", "model", "optimizer"])
def test_a_state_that_does_not_fit_the_run_is_refused_whichever_part_it_is(
    part: str, configure: Callable[..., Config]
) -> None:
    made, fresh = (assemble(configure("model.hidden_size=2", "probe=none"))[1] for _ in range(2))
    state = made.as_restored().state()
    with pytest.raises(ConfigError, match=r"no state of this run.*(KeyError|RuntimeError).*; if you remove it"):
        restored(fresh, {**state, part: {}})


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        def state(self) -> dict[str, int]:
            return dict.fromkeys(checkpoint.KEYS, 1)

    file = tmp_path / "x.ckpt"
    keeper = checkpoint.Checkpoint(file, 0.0)
    keeper._save(Module())

    def full_disk(_: object, opened: BinaryIO) -> None:
        opened.write(b"half")
        raise OSError

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError):  # noqa: PT011
        keeper._save(Module())
    assert checkpoint.load(file) == checkpoint.ADDED | Module().state()


def test_an_interruption_while_a_checkpoint_is_written_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch makes a RuntimeError of what is raised where it calls Python's file, and the run would have failed."""

    class Interrupted(io.BytesIO):
        def write(self, data: object) -> int:
            raise KeyboardInterrupt

    save = torch.save
    monkeypatch.setattr(torch, "save", lambda state, file: save(state, Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save({"model": torch.zeros(3)}, tmp_path / "x.ckpt")
    assert not any(tmp_path.iterdir())
