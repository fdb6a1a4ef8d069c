"""The baseline that every task states: predictions without memory, under the name it has in each family."""

from torch import Tensor

from study.opponents.contract import Fitted
from study.tasks import Batch, Task


class Baseline(Fitted):
    """`Task.baseline` as an opponent."""

    def __init__(self, task: Task, label: str):
        self._task, self.label = task, label

    def predict(self, batch: Batch, before: Tensor) -> Tensor:
        """See `Fitted`; the guess at a drawn task may know where an answer is due, never what it is."""
        return self._task.baseline(batch)


def fit_guess(task: Task) -> Baseline:
    """What can be said of a drawn task without memory, in closed form."""
    return Baseline(task, "guess without memory")


def fit_persistence(task: Task) -> Baseline:
    """The value stays."""
    return Baseline(task, "persistence")


def fit_bigram(task: Task) -> Baseline:
    """How often each token followed the current one."""
    return Baseline(task, "bigram")


def fit_word_tag(task: Task) -> Baseline:
    """How often each word had each label."""
    return Baseline(task, "word -> label")
