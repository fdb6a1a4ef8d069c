"""Length generalisation: a trained network tested at lengths it was not trained at."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from study.tasks import Task

TABLE = "by_length.parquet"
"""A row a length: `length`, `trained` (it is that of training), `<measure>/test`, `<measure>/baseline`."""


def chart(measure: str) -> str:
    """The metric of a measure on test by length; its steps are lengths, not updates: one key for all of them."""
    return f"{measure}/by_length"


class AtLength(NamedTuple):
    """A network tested at one length.

    Attributes:
        length: the first of the task's `length_keys`.
        trained: it is that of training.
        test: the measures on test.
        guess: those of the guess without memory there.
        solved: whether the task's criterion of success is met there; None: it has none.
    """

    length: int
    trained: bool
    test: Mapping[str, float]
    guess: Mapping[str, float]
    solved: bool | None


def by_length(
    task: "Task",
    test: Mapping[str, float],
    guess: Mapping[str, float],
    evaluate: Callable[["Task"], Mapping[str, float]],
) -> list[AtLength]:
    """Test a network at every length that its task names, the shortest first; none where it names none.

    Args:
        task: that it was trained on.
        test: its measures on test at the length of training.
        guess: those of the guess without memory.
        evaluate: measures it on the test split of a task.
    """
    return [
        _at(length, other, test, guess, trained=True)
        if other is task
        else _at(length, other, evaluate(other), other.baseline_metrics("test"), trained=False)
        for length, other in task.at_lengths().items()
    ]


def _at(
    length: int, task: "Task", test: Mapping[str, float], guess: Mapping[str, float], trained: bool
) -> AtLength:  # fmt: skip
    return AtLength(length, trained, {key: test[key] for key in guess}, guess, task.solved(test, guess))


def unsolved_at(tested: Sequence[AtLength], measure: str) -> tuple[int, float] | None:
    """The shortest further length at which the task is not solved, and the measure there; None: it is, or has none."""
    return next(((at.length, at.test[measure]) for at in tested if at.solved is False and not at.trained), None)


def table(tested: Sequence[AtLength]) -> pa.Table:
    """See `TABLE`."""
    rows = [
        {"length": at.length, "trained": at.trained}
        | {f"{key}/test": value for key, value in at.test.items()}
        | {f"{key}/baseline": value for key, value in at.guess.items()}
        for at in tested
    ]
    return pa.Table.from_pylist(rows)
