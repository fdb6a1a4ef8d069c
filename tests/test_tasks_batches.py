"""Claims about the ways data become batches: nothing is lost, nothing comes twice, nothing is out of place."""

import pytest
import torch
from torch import Tensor

from study.tasks.batches import Buckets, Sentences, Stream, Whole, Windows


def series(*lengths: int) -> list[tuple[Tensor, Tensor]]:
    """Series whose every value tells its place: input 1000 s + t, target its negative."""
    parts = [torch.arange(n, dtype=torch.float32)[:, None] + 1000 * s for s, n in enumerate(lengths, 1)]
    return [(part, -part) for part in parts]


def test_windows_are_every_stretch_of_every_series_once_and_never_cross_two() -> None:
    batches = Windows(series(12, 7), seq_len=5, batch_size=4, seed=0)
    found = []
    for batch in batches.epoch(0):
        assert torch.equal(batch.targets, -batch.inputs)
        assert torch.equal(batch.inputs[1:] - batch.inputs[:-1], torch.ones_like(batch.inputs[1:]))
        found += batch.inputs[0, :, 0].tolist()
    assert sorted(found) == [1000 + t for t in range(8)] + [2000 + t for t in range(3)]


def test_outlines_of_windows_count_as_the_batches_do_and_hold_one_step() -> None:
    batches = Windows(series(12, 7), seq_len=5, batch_size=4, seed=0)
    shapes = [(batch.inputs.shape, batch.targets.shape, batch.steps, batch.longest) for batch in batches.epoch(0)]
    outlines = [*batches.outlines()]
    assert [(one.inputs.shape, one.targets.shape, one.steps, one.longest) for one in outlines] == shapes
    assert {one.inputs.untyped_storage().data_ptr() for one in outlines} == {
        batches._inputs.untyped_storage().data_ptr()
    }


def test_a_series_just_as_long_as_a_window_gives_one() -> None:
    assert [b.inputs.shape for b in Windows(series(5), 5, 4, 0).epoch(0)] == [(5, 1, 1)]


def test_whole_series_stand_side_by_side_and_only_shorter_ones_are_padded() -> None:
    (batch,) = Whole(series(4, 2)).epoch(0)
    assert batch.mask is not None
    assert batch.inputs[batch.mask[:, 1], 1, 0].tolist() == [2000, 2001]
    assert batch.steps == 6
    (even,) = Whole(series(3, 3)).epoch(0)
    assert even.mask is None


@pytest.mark.parametrize(("tokens", "seq_len", "columns"), [(100, 7, 3), (91, 10, 9), (21, 50, 4), (5, 2, 4)])
def test_a_stream_reads_every_token_once_but_for_less_than_a_row(tokens: int, seq_len: int, columns: int) -> None:
    text = torch.arange(tokens, dtype=torch.uint8)
    batches = list(Stream(text, seq_len, columns).epoch(0))
    inputs = torch.cat([batch.inputs for batch in batches]).T.flatten()
    targets = torch.cat([batch.targets for batch in batches]).T.flatten()
    assert torch.equal(inputs, torch.arange(len(inputs)))
    assert torch.equal(targets, inputs + 1)
    assert tokens - 1 - columns < len(inputs) <= tokens - 1
    assert all(len(batch.inputs) == seq_len for batch in batches[:-1])


def sentences(*lengths: int) -> Sentences:
    """Sentences whose words count upwards from 1; labels are the words' negatives."""
    words = torch.arange(1, sum(lengths) + 1)
    return Sentences(words, -words, torch.tensor(lengths))


@pytest.mark.parametrize("seed", [None, 0])
def test_buckets_hold_every_sentence_once_whole_and_padded_with_zeros(seed: int | None) -> None:
    lengths = (3, 1, 4, 1, 5, 9, 2, 6)
    found = []
    for batch in Buckets(sentences(*lengths), 3, seed).epoch(4):
        assert batch.mask is not None
        assert torch.equal(batch.targets, -batch.inputs)
        assert torch.equal(batch.inputs != 0, batch.mask)
        found += [batch.inputs[batch.mask[:, i], i].tolist() for i in range(batch.mask.shape[1])]
    expected = [words.tolist() for words in torch.arange(1, sum(lengths) + 1).split(lengths)]
    assert sorted(found) == expected


def test_buckets_pad_no_more_than_sentences_of_like_length_need() -> None:
    lengths = [int(n) for n in torch.randint(1, 60, (500,), generator=torch.Generator().manual_seed(0))]
    batches = list(Buckets(sentences(*lengths), 10, 0).epoch(0))
    held = sum(batch.targets.numel() for batch in batches)
    assert sum(batch.steps for batch in batches) == sum(lengths)
    assert held < 1.1 * sum(lengths)


def test_shuffled_buckets_change_their_order_and_their_neighbours_with_the_epoch() -> None:
    lengths = [4] * 40 + [7] * 40
    batches = Buckets(sentences(*lengths), 8, 0)
    zeroth, first = ([batch.inputs.T.tolist() for batch in batches.epoch(e)] for e in (0, 1))
    assert [len(b[0]) for b in zeroth] != [len(b[0]) for b in first]
    assert sorted(map(sorted, zeroth)) != sorted(map(sorted, first))
