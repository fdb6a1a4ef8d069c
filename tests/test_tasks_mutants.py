"""Tasks that are wrong on purpose: the contract suite must name what is wrong with each."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from study import tasks
from study.tasks import SPLITS, Batch, Batches, Split, Task
from study.tasks.batches import Fresh
from study.tasks.labelling.parity import Parity
from study.testing.tasks import DATA, TaskContract

CONFIG = tasks.configure("labelling_parity", sequences=90, held_out=60)


def breaks(task_class: type[Task], claim: Callable[..., None]) -> bool:
    """Whether a task breaks a claim, on some split."""

    def make(seed: int) -> Task:
        return task_class(CONFIG, DATA, seed)  # type: ignore[call-arg]

    for split in SPLITS:
        given: dict[str, Any] = {"config": CONFIG, "make": make, "task": make(0), "split": split}
        arguments = [given[key] for key in inspect.signature(claim).parameters if key != "self"]
        try:
            claim(TaskContract(), *arguments)
        except AssertionError:
            return True
    return False


class Guessing(Parity):
    """Does not know its horizon."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.horizon_known = False


class OtherPrimary(Parity):
    """Is ranked by what it does not measure."""

    primary = "rmse"


class Reversed(Parity):
    """Takes less accuracy for better."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.direction = "minimize"


class Early(Parity):
    """Classes beyond those it declares."""

    targets = 1


class Floats(Parity):
    """Tokens that are no integers."""

    def draw(self, width: int, draws: Generator) -> Batch:
        batch = super().draw(width, draws)
        return batch._replace(inputs=batch.inputs.float())


class Padded(Parity):
    """Leaves something in the padding."""

    def draw(self, width: int, draws: Generator) -> Batch:
        batch = super().draw(width, draws)
        return batch._replace(mask=torch.arange(20)[:, None].expand(20, width) < 15)


class Global(Parity):
    """Draws from torch's global generator."""

    def draw(self, width: int, draws: Generator) -> Batch:
        return super().draw(width, torch.default_generator)


class Seeded(Parity):
    """Validates on other sequences for every seed."""

    def batches(self, split: Split) -> Fresh:
        return Fresh(self.draw, 90 if split == "train" else 60, 32, self._seed, split, fixed=split != "train")


class Shared(Parity):
    """Tests on what it validates on."""

    def batches(self, split: Split) -> Fresh:
        return super().batches("val" if split == "test" else split)


class Leaking(Parity):
    """Validates and tests on sequences of the first epoch."""

    def batches(self, split: Split) -> Fresh:
        return super().batches(split) if split == "train" else Fresh(self.draw, 60, 32, 0, "train", fixed=True)


class Unshuffled(Parity):
    """Trains on the same sequences in the same order in every epoch."""

    def batches(self, split: Split) -> Fresh:
        return Fresh(self.draw, 90, 32, 0, split, fixed=True)


class Longer(Fresh):
    """Says that an epoch has a batch more than it has."""

    def __len__(self) -> int:
        return super().__len__() + 1


class Miscounted(Parity):
    """Counts its batches wrongly."""

    def batches(self, split: Split) -> Batches:  # type: ignore[override]
        return Longer(self.draw, 60, 32, 0, split, fixed=split != "train")


class Certain(Parity):
    """A baseline that knows the answer."""

    def baseline(self, batch: Batch) -> Tensor:
        return torch.nn.functional.one_hot(batch.targets, 2).float()


class Improbable(Parity):
    """Probabilities that do not add up to 1."""

    def baseline(self, batch: Batch) -> Tensor:
        return super().baseline(batch) * 0.8


MUTANTS: dict[type[Task], Callable[..., None]] = {
    Guessing: TaskContract.test_its_horizon_is_known_or_a_guess,
    OtherPrimary: TaskContract.test_it_says_what_it_is,
    Reversed: TaskContract.test_the_baseline_is_finite_and_an_oracle_beats_it,
    Early: TaskContract.test_batches_hold_what_the_task_declares,
    Floats: TaskContract.test_batches_hold_what_the_task_declares,
    Padded: TaskContract.test_padding_is_zero_and_every_sequence_counts,
    Global: TaskContract.test_an_epoch_depends_on_its_number_alone,
    Seeded: TaskContract.test_only_training_is_shuffled,
    Shared: TaskContract.test_splits_are_different_data,
    Leaking: TaskContract.test_no_evaluation_sequence_is_one_of_training,
    Unshuffled: TaskContract.test_only_training_is_shuffled,
    Miscounted: TaskContract.test_an_epoch_holds_as_many_batches_as_it_says,
    Certain: TaskContract.test_the_baseline_is_finite_and_an_oracle_beats_it,
    Improbable: TaskContract.test_baseline_predictions_are_shaped_as_a_networks,
}


@pytest.mark.parametrize("mutant", list(MUTANTS))
def test_a_wrong_task_breaks_the_claim_it_contradicts(mutant: type[Task]) -> None:
    assert breaks(mutant, MUTANTS[mutant])
    assert not breaks(Parity, MUTANTS[mutant])
