"""Recall: selective copying, associative recall, copying on a stream; and what of drawn tasks is refused."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Generator

from study import tasks
from study.errors import ConfigError
from study.tasks import Batch, Task
from study.tasks.fresh_stream import FreshStream
from tests.composed import configured
from tests.drawn import built, first

# Selective copying.


def test_selected_letters_are_asked_for_in_their_order_after_all_of_them_came() -> None:
    task = built("language_selective_copying", letters=5, symbols=4, seq_len=11)
    batch = first(task)
    assert batch.mask is not None
    assert batch.mask.all(1).tolist() == batch.mask.any(1).tolist() == [False] * 11 + [True] * 4
    places = set()
    for i in range(256):
        shown = batch.inputs[:11, i].tolist()
        assert [x - 1 for x in shown if x] == batch.targets[11:, i].tolist()
        assert batch.inputs[11:, i].tolist() == [6] * 4
        places.add(tuple(t for t, x in enumerate(shown) if x))
    assert len(places) > 150  # of 330
    assert batch.inputs[:11].unique().tolist() == list(range(6))
    assert (batch.targets[11:].flatten().bincount(minlength=5) - 1024 / 5).abs().max() < 5 * math.sqrt(1024 * 0.16)


def test_the_mean_lag_of_selective_copying_is_half_of_its_steps() -> None:
    task = built("language_selective_copying", letters=5, symbols=4, seq_len=12, sequences=4000, batch_size=4000)
    shown = first(task).inputs[:12].T.nonzero()[:, 1].view(-1, 4)
    lags = 12 + torch.arange(4) - shown
    assert float(lags.double().mean()) == pytest.approx((12 + 4) / 2, abs=0.1)
    assert tasks.configure("language_selective_copying", symbols=4, seq_len=12).horizon == 8


# Associative recall.


def test_every_key_is_asked_for_once_and_its_answer_is_the_value_that_came_after_it() -> None:
    task = built("language_mqar", key_tokens=7, value_tokens=9, pairs=3, seq_len=20)
    batch = first(task)
    assert batch.mask is not None
    gaps = []
    for i in range(256):
        row, asked = batch.inputs[:, i].tolist(), batch.mask[:, i].nonzero()[:, 0].tolist()
        values = dict(zip(row[0:6:2], row[1:6:2], strict=True))
        assert len(values) == len(set(values.values())) == 3
        assert all(1 <= key <= 7 < value <= 16 for key, value in values.items())
        assert sorted(row[t] for t in asked) == sorted(values)
        assert [t for t in range(6, 20) if row[t]] == asked
        assert [values[row[t]] - 8 for t in asked] == batch.targets[asked, i].tolist()
        gaps += [(t - 6) / 2 for t in asked]
    assert set(gaps) == set(range(7))


def test_queries_come_early_by_the_power_law() -> None:
    task = built("language_mqar", pairs=1, seq_len=12, sequences=20000, batch_size=20000)
    mask = first(task).mask
    assert mask is not None
    shares = mask[2::2].double().mean(1)
    weights = [(g + 1) ** -0.99 for g in range(5)]
    assert shares.tolist() == pytest.approx([weight / sum(weights) for weight in weights], abs=0.02)
    assert not mask[3::2].any()


def test_the_mean_lag_of_recall_is_at_least_the_horizon() -> None:
    config = tasks.configure("language_mqar")
    batch = first(built("language_mqar", sequences=2000, batch_size=2000))
    assert batch.mask is not None
    lags = []
    for row, asked in zip(batch.inputs.T.tolist(), batch.mask.T, strict=True):
        lags += [t - 1 - row.index(row[t]) for t in asked.nonzero()[:, 0].tolist()]
    assert sum(lags) / len(lags) >= config.horizon == 7


@pytest.mark.parametrize(("name", "classes"), [("language_selective_copying", 14), ("language_mqar", 16)])
def test_the_guess_at_what_is_to_be_recalled_is_one_of_all(name: str, classes: int) -> None:
    guess = built(name).baseline_metrics("test")
    assert guess["nats"] == pytest.approx(math.log(classes), rel=1e-5)
    assert guess["accuracy"] == pytest.approx(1 / classes, abs=0.04)


# Copying on a stream.


def columns(task: Task, epoch: int = 0) -> Iterator[tuple[list[int], list[int]]]:
    """Inputs and targets of whole columns."""
    parts = list(task.batches("train").epoch(epoch))
    both = (torch.cat([getattr(part, name) for part in parts]).T.tolist() for name in ("inputs", "targets"))
    yield from zip(*both, strict=True)


def slow(symbols: list[list[int]], blanks: int, steps: int) -> tuple[list[int], list[int]]:
    """The stream of some periods, written down one after another."""
    inputs, targets = [0] * blanks, [0] * blanks
    for period in symbols:
        inputs += period + [0] * len(period)
        targets += [0] * len(period) + period
    return inputs[:steps], targets[:steps]


@pytest.mark.parametrize(("shortest", "longest"), [(5, 5), (2, 4)])
def test_what_comes_in_on_a_stream_is_to_come_out_a_period_s_half_later(shortest: int, longest: int) -> None:
    shape = {"letters": 3, "seq_len": 7, "sequences": 64, "batch_size": 8}
    task = built("language_stream_copying", shortest=shortest, longest=longest, **shape)
    blanks, lengths = set(), set()
    for inputs, targets in columns(task):
        assert len(inputs) == 56
        periods: list[list[int]] = []
        for token in inputs:
            if token == 1:
                periods.append([])
            if token:
                periods[-1].append(token)
        whole = periods[:-1]
        assert all(set(period[1:]) <= {2, 3, 4} for period in periods)
        # The last period may be cut off: what is known of it is what came in.
        blanks.add(inputs.index(1))
        lengths |= {len(period) for period in whole}
        ended = inputs.index(1) + 2 * sum(map(len, whole))
        assert (inputs[:ended], targets[:ended]) == slow(whole, inputs.index(1), ended)
    assert lengths == set(range(shortest, longest + 1))
    assert len(blanks) > 3
    assert max(blanks) < 2 * longest


def test_with_a_fixed_memory_the_target_is_the_input_m_steps_before() -> None:
    for inputs, targets in columns(built("language_stream_copying", batch_size=16)):
        assert targets == [0] * 5 + inputs[:-5]


def test_a_stream_of_other_stretches_is_the_same_stream() -> None:
    cut = (built("language_stream_copying", seq_len=n, sequences=16 * 60 // n, batch_size=16) for n in (10, 20))
    one, other = (list(columns(task, epoch=3)) for task in cut)
    assert one == other


def test_an_epoch_of_a_stream_is_drawn_once_and_any_batch_of_it_can_be_asked_for() -> None:
    drawn = []

    def draw(steps: int, width: int, draws: Generator) -> Batch:
        drawn.append(steps)
        tokens = torch.randint(9, (steps, width), generator=draws)
        return Batch(tokens, tokens)

    batches = FreshStream(draw, 10, 4, 5, 0, "train", fixed=False)
    assert (len(batches), batches.longest, batches.size, batches.stream) == (3, 15, 60, 5)
    whole = list(batches.epoch(1))
    assert drawn == [15]
    assert torch.equal(batches.batch(batches.keys(1)[2]).inputs, whole[2].inputs)
    assert not torch.equal(next(batches.epoch(2)).inputs, whole[0].inputs)
    assert drawn == [15, 15]


@pytest.mark.parametrize(("m", "published"), [(5, 1.741), (10, 1.866)])
def test_the_guess_on_a_stream_has_the_perplexity_of_m_minus_1_letters_in_2_m_steps(m: int, published: float) -> None:
    shape = {"seq_len": 500, "held_out": 64, "batch_size": 16}
    found = built("language_stream_copying", shortest=m, longest=m, **shape).baseline_metrics("test")["perplexity"]
    assert 4 ** ((m - 1) / (2 * m)) == pytest.approx(published, abs=5e-4)
    assert found == pytest.approx(published, rel=0.01)  # a little less: streams start with blanks


# What is refused.


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("labelling_group", {"group": "s9"}, "allowed: s3, s4, s5 .permutations., a4, a5 .even ones., z2 to z99"),
        ("labelling_group", {"group": "z1"}, "group\n.*allowed"),
        ("labelling_group", {"group": "z100"}, "allowed"),
        ("labelling_group", {"horizon": None}, "horizon\n.*should be a valid integer"),
        ("language_selective_copying", {"seq_len": 9}, "seq_len=9 must not be below symbols=16"),
        ("language_selective_copying", {"letters": 1}, "letters\n.*greater than or equal to 2"),
        ("language_mqar", {"pairs": 9, "key_tokens": 8}, "pairs=9 must not exceed .* allowed are 1 to 8"),
        ("language_mqar", {"seq_len": 15}, "4 pairs and as many places of two steps for their queries need 16 steps"),
        ("language_stream_copying", {"shortest": 6}, "shortest=6 must not exceed longest=5"),
        ("language_stream_copying", {"shortest": 1}, "shortest\n.*greater than or equal to 2"),
        ("language_stream_copying", {"test_lengths": [9]}, "test_lengths\n.*not permitted"),
        ("labelling_parity", {"test_lengths": [40, 40]}, r"test_lengths = \[40, 40\] names 40 more than once"),
        ("labelling_parity", {"test_lengths": [0]}, "test_lengths.0\n.*greater than or equal to 1"),
        ("labelling_parity", {"test_lengths": [1]}, "test_lengths: 1 as task.seq_len: should be greater than"),
        ("labelling_temporal_order", {"test_lengths": [9]}, "test_lengths: 9 as task.seq_len: should be greater"),
        ("language_mqar", {"test_lengths": [8]}, "test_lengths: 8 as task.seq_len: seq_len=8: 4 pairs"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(name: str, values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tasks.configure(name, **values)


def test_a_stream_cannot_be_read_from_both_ends() -> None:
    with pytest.raises(ConfigError, match="it reads the steps ahead"):
        configured("language_stream_copying", "model.bidirectional=true")
