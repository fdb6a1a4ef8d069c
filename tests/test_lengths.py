"""Length generalisation: a task at further lengths, what a run leaves of them, and what the report shows."""

import torch

from study import tasks
from tests.drawn import built


def test_a_task_at_another_length_is_the_task_that_was_made_for_it() -> None:
    task = built("labelling_parity", test_lengths=[40, 10])
    found = task.at_lengths()
    assert list(found) == [10, 20, 40]
    assert found[20] is task
    longer = built("labelling_parity", seq_len=40)
    assert torch.equal(next(found[40].batches("test").epoch(0)).inputs, next(longer.batches("test").epoch(0)).inputs)
    assert not found[40].at_lengths()
    assert not built("labelling_parity").at_lengths()


def test_of_copying_the_delay_is_its_length() -> None:
    found = built("language_copying", test_lengths=[30]).at_lengths()
    assert {delay: next(task.batches("val").epoch(0)).longest for delay, task in found.items()} == {10: 20, 30: 40}


def test_further_lengths_change_no_bit_of_what_is_trained_on() -> None:
    plain, more = built("labelling_parity"), built("labelling_parity", test_lengths=[40])
    for split in tasks.SPLITS:
        pairs = zip(plain.batches(split).epoch(0), more.batches(split).epoch(0), strict=True)
        assert all(torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) for a, b in pairs)
