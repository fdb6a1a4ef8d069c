"""State tracking: word problems of groups against tuples, tables and loops; the guess without memory in closed form."""

import itertools
import math

import pytest
import torch
from torch import Generator

from study import tasks
from study.tasks.labelling.group import multiplication, products
from tests.drawn import built, first

Permutation = tuple[int, ...]


def elements(group: str) -> list[Permutation]:
    """Permutations as tuples of images, in their order; the even ones are those with an even number of even cycles."""
    found = sorted(itertools.permutations(range(int(group[1:]))))
    return [p for p in found if group[0] == "s" or even_cycles(p) % 2 == 0]


def even_cycles(permutation: Permutation) -> int:
    left, count = set(range(len(permutation))), 0
    while left:
        at, length = left.pop(), 1
        while (at := permutation[at]) in left:
            left.remove(at)
            length += 1
        count += length % 2 == 0
    return count


@pytest.mark.parametrize(("group", "order"), [("s3", 6), ("a4", 12), ("a5", 60)])
def test_the_word_problem_composes_permutations_the_first_one_first(group: str, order: int) -> None:
    task, known = built("labelling_group", group=group, seq_len=13, batch_size=16), elements(group)
    assert task.targets == task.inputs.size == len(known) == order
    batch = first(task)
    for i in range(16):
        state = tuple(range(int(group[1:])))
        for t in range(13):
            then = known[int(batch.inputs[t, i])]
            state = tuple(then[place] for place in state)
            assert batch.targets[t, i] == known.index(state)


def test_the_word_problem_of_z_m_is_the_sum_modulo_m() -> None:
    batch = first(built("labelling_group", group="z7", seq_len=30))
    assert torch.equal(batch.targets, batch.inputs.cumsum(0) % 7)


@pytest.mark.parametrize("group", ["s3", "s4", "a4", "a5", "s5", "z2", "z60"])
def test_a_table_of_products_is_that_of_a_group(group: str) -> None:
    table = multiplication(group)
    every = torch.arange(len(table))
    assert torch.equal(table[0], every)
    assert torch.equal(table[:, 0], every)  # 0 is the identity
    assert torch.equal(table.sort(0).values, every[:, None].expand_as(table))  # a column holds every element once
    a, b, c = torch.randint(len(table), (3, 500), generator=Generator().manual_seed(0))
    assert torch.equal(table[table[a, b], c], table[a, table[b, c]])
    assert torch.equal(table, table.T) == group.startswith("z")


@pytest.mark.parametrize("time", [1, 2, 7, 8, 9])
def test_products_in_a_scan_are_those_of_a_loop(time: int) -> None:
    table = multiplication("s4")
    word = torch.randint(24, (time, 5), generator=Generator().manual_seed(1))
    slow = [word[0]]
    for step in word[1:]:
        slow.append(table[slow[-1], step])
    assert torch.equal(products(table, word), torch.stack(slow))


def test_every_product_comes_as_often_at_every_step() -> None:
    batch = first(built("labelling_group", group="s3", seq_len=10, sequences=6000, batch_size=6000))
    counts = torch.stack([step.bincount(minlength=6) for step in batch.targets])
    assert (counts - 1000).abs().max() < 5 * math.sqrt(6000 * 5 / 36)


@pytest.mark.parametrize(("group", "n"), [("s3", 6), ("a5", 60), ("z2", 2)])
def test_the_guess_at_a_word_problem_is_that_of_one_who_sees_the_current_element_alone(group: str, n: int) -> None:
    time = 8
    guess = built("labelling_group", group=group, seq_len=time, held_out=4000).baseline_metrics("test")
    right = 1 / time + (1 - 1 / time) / n
    other = (1 - 1 / time) / n
    error = math.sqrt(right * (1 - right) / (4000 * time))
    assert guess["accuracy"] == pytest.approx(right, abs=5 * error)
    nats = -right * math.log(right) - (n - 1) * other * math.log(other)
    assert guess["nats"] == pytest.approx(nats, abs=5 * error * math.log(right / other))


def test_tasks_whose_every_answer_needs_the_whole_past_are_known_to_track_a_state() -> None:
    tracking = {name for name in tasks.TASKS if tasks.TASKS.config(name).tracks_state}
    assert tracking == {"labelling_parity", "labelling_group"}
    assert built("labelling_group", horizon=19).horizon_known
    assert not built("labelling_group", horizon=20).horizon_known
