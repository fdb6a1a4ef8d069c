"""What docs/own-cell.md trains can be trained; a loss and a clip policy of one's own."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.command.arguments import opened
from study.errors import ConfigError
from study.learning import clipping, losses
from study.schema import Config
from tests.own_page import CLIP, COMMANDS

Configure = Callable[..., Config]
pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make train")])
def test_what_the_page_trains_can_be_trained(configure: Configure, line: str) -> None:
    from study.train import assemble

    (given,) = (part.removeprefix("ARGS=") for part in shlex.split(line) if part.startswith("ARGS="))
    _, module = assemble(configure("task=forecasting_sine_mix", *map(opened, given.split())))
    assert next(module.model.parameters()).isfinite().all()


def test_the_page_names_no_command_that_is_not_tried_here() -> None:
    others = [line for line in COMMANDS if not line.startswith("make train")]
    assert others == ["make verify MODEL=cell.py", "make reproduce RUN=... ARGS=--trust-code"]


def test_a_loss_and_a_clip_policy_are_what_their_files_say(configure: Configure) -> None:
    given = (
        "loss=own",
        "loss.file=loss.py",
        "+loss.options.power=3",
        "loss.scale=initial",
        "loss.over_time=sum",
        "clip=own",
    )
    config = configure(*given, "clip.file=clip.py", "+clip.options.threshold=0.5")
    loss, clip = losses.build(config.loss), clipping.build(config.clip)
    assert (loss.over_time, loss.scale) == ("sum", "initial")
    assert loss.total(torch.full((1, 1, 2), 2.0), torch.zeros(1, 1, 2), None).item() == 8
    gradients = [torch.tensor([3.0, -4.0])]
    assert clip(gradients, gradients).applied.item() == pytest.approx(0.625)
    assert gradients[0].tolist() == [0.375, -0.5]


@pytest.mark.parametrize(
    ("group", "old", "new", "said"),
    [
        ("loss", ".mean(-1)", "", "loss.py, line 9: Power.per_step returns (2, 3, 4), not one loss for every step"),
        ("loss", "outputs - targets", "outputs - target", "loss.py, line 10: NameError: name 'target' is not defined"),
        ("loss", "def predict", "def guess", "loss.py, line 4: Power lacks predict"),
        ("clip", "Clipped(before, total, total * scale)", "before", "clip.py, line 10: LargestEntry returns a Tensor"),
        ("clip", "(self.threshold / largest)", "self.limit", "clip.py, line 13: AttributeError: "),
    ],
)
def test_a_mistake_in_them_is_one_sentence_too(configure: Configure, group: str, old: str, new: str, said: str) -> None:
    file = Path(f"{group}.py")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    config = configure(f"{group}=own", f"{group}.file={file}")
    with pytest.raises(ConfigError, match=re.escape(said)):
        losses.build(config.loss) if group == "loss" else clipping.build(config.clip)


def test_a_clip_policy_that_does_not_record_what_it_names_is_refused(configure: Configure) -> None:
    Path("clip.py").write_text(CLIP.replace("    def __init__", '    records = ("clip/limit",)\n\n    def __init__', 1))
    with pytest.raises(ConfigError, match=r"LargestEntry names the records \['clip/limit'\], and its Clipped has none"):
        clipping.build(configure("clip=own", "clip.file=clip.py").clip)
