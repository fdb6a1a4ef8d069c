"""The guess without memory that every task states, under the name it has in each family."""

from torch import Tensor

from study.opponents.contract import Fitted
from study.tasks import Batch, Task


class Naive(Fitted):
    """`Task.baseline` as an opponent."""

    def __init__(self, task: Task, label: str):
        self._task, self.label = task, label

    def predict(self, batch: Batch, before: Tensor) -> Tensor:
        """See `Fitted`; the guess at a drawn task may be told where an answer is due, never what it is."""
        return self._task.baseline(batch)


def fit_guess(task: Task) -> Naive:
    """What can be said of a drawn task without memory, in closed form."""
    return Naive(task, "guess without memory")


def fit_persistence(task: Task) -> Naive:
    """The value stays."""
    return Naive(task, "persistence")


def fit_bigram(task: Task) -> Naive:
    """How often each token followed the current one."""
    return Naive(task, "bigram")


def fit_word_tag(task: Task) -> Naive:
    """How often each word had each label."""
    return Naive(task, "word -> label")
