"""Every update is kept, whatever its numbers; what charts show of it never hides a spike."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from study.columns import APPLIED, FIXED, LIMIT, LOSS, RATE, SHARE, TOTAL, acted, column
from study.learning.bptt import Update
from study.learning.clipping import Clip, Clipped
from study.learning.clipping.autoclip import AutoClip
from study.learning.clipping.none import NoClip
from study.learning.clipping.norm import ClipNorm
from study.learning.clipping.per_parameter import ClipPerParameter
from study.learning.clipping.skip import SkipNonFinite
from study.learning.clipping.value import ClipValue
from study.training.history import Envelope, History

NAMES = ["core.weight_hh_l0", "core.bias_hh_l0", "head.weight"]


def update(loss: float, total: float = 1.0, applied: float | None = None) -> Update:
    found = torch.tensor([total, 2 * total, 3 * total])
    return Update(torch.tensor(loss), Clipped(found, torch.tensor(total), torch.tensor(applied or total)))


def history(losses: list[float], block: int = 1000, divergence: float | None = None, **columns: Any) -> History:
    kept = History(NAMES, divergence=divergence)
    totals = columns.get("totals", [1.0] * len(losses))
    for number, (loss, total) in enumerate(zip(losses, totals, strict=True), 1):
        kept.append(update(loss, total), lr=0.1 * number)
        if number % block == 0:
            kept.flush()
    kept.flush()
    return kept


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_every_update_is_one_row_however_often_rows_are_read_back(block: int) -> None:
    kept = history([float(i) for i in range(20)], block)
    table = kept.table().to_pydict()
    assert table["update"] == list(range(1, 21))
    assert table["loss"] == [float(i) for i in range(20)]
    assert table["lr"] == pytest.approx([0.1 * i for i in range(1, 21)])
    assert table["grad_norm/core.bias_hh_l0"] == [2.0] * 20
    assert list(table) == ["update", *FIXED, *(f"grad_norm/{name}" for name in NAMES)]
    assert len(kept) == 20
    assert kept.last == (19.0, 1.0)
    for start in range(len(kept) + 1):
        np.testing.assert_array_equal(kept.rows(start), kept.rows()[start:])


def test_what_updates_note_beside_their_norms_has_a_column_and_a_chart() -> None:
    kept = History(NAMES, beside=("bptt/k2",))
    for number in range(3):
        kept.append(update(1.0)._replace(records={"bptt/k2": 5.0 + number}), 0.1)
    kept.flush()
    assert kept.table().column_names[-2:] == ["grad_norm/head.weight", "bptt/k2"]
    assert kept.table().to_pydict()["bptt/k2"] == [5.0, 6.0, 7.0]
    points = [point["bptt/k2"] for _, point in Envelope(kept, 200, 10).add(kept.rows(), last=True)]
    assert points == [5.0, 6.0, 7.0]


def test_a_history_of_nothing_is_an_empty_table_with_all_its_columns() -> None:
    kept = history([])
    assert kept.table().num_rows == 0
    assert kept.table().num_columns == 1 + len(FIXED) + len(NAMES)
    assert kept.last is None
    assert kept.diverged is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("block", [1, 4, 1000])
@pytest.mark.parametrize("column", ["loss", "totals"])
def test_the_first_update_that_is_not_finite_is_kept_and_is_the_last(column: str, block: int, bad: float) -> None:
    values = [1.0] * 5 + [bad] + [math.nan] * 6
    kept = history(values, block) if column == "loss" else history([1.0] * 12, block, totals=values)
    assert kept.diverged == 6
    row = kept.rows()[5]
    assert row[LOSS if column == "loss" else TOTAL] == pytest.approx(bad, nan_ok=True)
    assert np.isfinite(kept.rows()[:5]).all()


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_a_loss_beyond_the_given_multiple_of_the_first_counts_as_diverged(block: int) -> None:
    losses = [2.0, 1.0, 19.0, 20.0, 20.1, 1.0]
    assert history(losses[:4], block, divergence=10.0).diverged is None
    assert history(losses, block, divergence=10.0).diverged == 5
    assert history(losses, block).diverged is None


def test_a_first_loss_whose_multiple_leaves_float32_makes_no_divergence_and_no_warning() -> None:
    assert history([1e35, 2e35], divergence=1e6).diverged is None


@pytest.mark.parametrize("first", [0.0, -3.0, 1e-9])
def test_a_first_loss_that_is_tiny_or_negative_makes_no_divergence_of_the_next(first: float) -> None:
    assert history([first, first + 1.0, 5.0, -5.0], divergence=10.0).diverged is None
    assert history([first, 100.0], divergence=10.0).diverged == 2


def envelope(rows: np.ndarray, updates: int | None = None, points: int = 40, block: int = 7) -> list[tuple[int, Any]]:
    drawn = Envelope(History(NAMES), updates or len(rows), points)
    blocks = [rows[i : i + block] for i in range(0, len(rows), block)]
    found = [point for part in blocks for point in drawn.add(part)]
    return found + list(drawn.add(rows[:0], last=True))


def rows(updates: int) -> np.ndarray:
    draws = np.random.default_rng(0).lognormal(size=(updates, len(FIXED) + len(NAMES))).astype(np.float32)
    draws[:, APPLIED] = np.minimum(draws[:, TOTAL], 1.0)
    return draws


@pytest.mark.parametrize("updates", [1, 9, 10, 11, 39, 40, 41, 43, 500, 1000, 1001])
@pytest.mark.parametrize("points", [10, 40, 500])
def test_an_envelope_has_at_most_its_points_and_ends_at_the_last_update(updates: int, points: int) -> None:
    found = envelope(rows(updates), points=points)
    steps = [step for step, _ in found]
    assert len(found) <= points
    assert steps == sorted(set(steps))
    assert steps[-1] == updates


@pytest.mark.parametrize("place", [0, 9, 10, 123, 997, 999])
@pytest.mark.parametrize(
    ("column", "key"),
    [(LOSS, "loss/train_max"), (TOTAL, "grad_norm/total_max")]
    + [(len(FIXED) + i, f"grad_norm/{name}_max") for i, name in enumerate(NAMES)],
)
def test_no_spike_is_hidden(column: int, key: str, place: int) -> None:
    values = rows(1000)
    values[place, column] = 1e6
    found = envelope(values)
    (step,) = [step for step, point in found if point[key] == 1e6]
    assert place < step <= place + math.ceil(1000 / 30) + 1


def test_every_point_is_the_mean_and_the_maximum_of_the_updates_since_the_one_before() -> None:
    values, start = rows(203), 0
    for step, point in envelope(values):
        bucket = values[start:step].astype(np.float64)
        assert point["loss/train"] == pytest.approx(bucket[:, LOSS].mean())
        assert point["grad_norm/total"] == pytest.approx(bucket[:, TOTAL].mean())
        assert point["grad_norm/total_max"] == bucket[:, TOTAL].max()
        assert point["clip/active"] == pytest.approx((bucket[:, APPLIED] < bucket[:, TOTAL]).mean())
        scale = bucket[:, APPLIED] / bucket[:, TOTAL]
        assert point["clip/scale"] == pytest.approx(scale.mean())
        assert point["optimizer/effective_lr"] == pytest.approx((bucket[:, RATE] * scale).mean())
        start = step


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_shows_in_mean_and_maximum_and_is_counted(bad: float) -> None:
    values = rows(100)
    values[57, TOTAL] = values[57, APPLIED] = bad
    for step, point in envelope(values):
        hit = point["nonfinite/gradients"] == 1.0
        assert hit == (not math.isfinite(point["grad_norm/total"])) == (not math.isfinite(point["grad_norm/total_max"]))
        assert hit <= (step >= 58)
    assert sum(point["nonfinite/gradients"] for _, point in envelope(values)) == 1.0


def test_a_run_that_ends_early_still_shows_each_of_its_first_updates() -> None:
    found = envelope(rows(6), updates=100_000)
    assert [step for step, _ in found] == [1, 2, 3, 4, 5, 6]


def test_an_update_without_any_gradient_was_not_clipped() -> None:
    values = rows(3)
    values[:, [TOTAL, APPLIED]] = 0.0
    assert {(point["clip/active"], point["clip/scale"]) for _, point in envelope(values)} == {(0.0, 1.0)}


@pytest.mark.parametrize("layers", [1, 2, 3, 6])
def test_the_charts_of_a_deep_network_stay_few_and_keep_every_recurrent_weight(layers: int) -> None:
    network = nn.ModuleDict({"encoder": nn.Embedding(3, 4), "core": nn.LSTM(4, 4, layers), "head": nn.Linear(4, 2)})
    names = [name for name, _ in network.named_parameters()]
    recurrent = [name for name in names if "weight_hh" in name]
    kept = History(names, recurrent)
    ((_, point),) = Envelope(kept, 1, 10).add(np.ones((1, len(kept.columns)), np.float32))
    assert len(point) <= 15
    assert all(f"grad_norm/{name}_max" in point for name in recurrent)


def test_which_charts_are_drawn_is_decided_by_what_is_recurrent_not_by_names() -> None:
    names = [f"core.cell{i}.{part}" for i in range(4) for part in ("in", "back", "bias")]
    few = History(names[:6], names[1:2])
    assert few.charted == few.columns[len(FIXED) :]
    many = History(names, [name for name in names if name.endswith("back")])
    assert many.charted[:4] == tuple(f"grad_norm/core.cell{i}.back" for i in range(4))
    assert many.charted[4:] == ("grad_norm/core.cell0.in", "grad_norm/core.cell1.in")


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_history_restored_from_its_state_continues_to_the_same_rows(cut: int) -> None:
    losses = [2.0, 1.0, 19.0, 3.0, 4.0, 20.1, 1.0]
    whole, first, restored = history(losses, divergence=10.0), history(losses[:cut]), History(NAMES, divergence=10.0)
    restored.load_state(first.state())
    for number, loss in enumerate(losses[cut:], cut + 1):
        restored.append(update(loss), lr=0.1 * number)
    restored.flush()
    np.testing.assert_array_equal(restored.rows(), whole.rows())
    assert (restored.diverged, len(restored), restored.last) == (6, 6, whole.last)


def of(clip: Clip, sizes: list[float], block: int = 1000) -> History:
    """The history of gradients of such norms, as a policy clips them; NaN of the loss where one is not finite."""
    kept = History(["w", "b"], beside=clip.records, patience=clip.patience)
    for number, size in enumerate(sizes, 1):
        gradients = [torch.tensor([0.6 * size]), torch.tensor([0.8 * size])]
        clipped = clip(gradients, [torch.ones(1), torch.ones(1)])
        kept.append(Update(torch.tensor(1.0 if math.isfinite(size) else math.nan), clipped, clipped.records), lr=0.1)
        if number % block == 0:
            kept.flush()
    kept.flush()
    return kept


@pytest.mark.parametrize("clip", [NoClip(), ClipNorm(1.0), ClipValue(1.0)], ids=lambda clip: type(clip).__name__)
def test_policies_that_were_there_before_records_have_exactly_the_columns_they_had(clip: Clip) -> None:
    assert of(clip, [1.0, 2.0]).columns == (*FIXED, "grad_norm/w", "grad_norm/b")
    assert of(clip, [1.0, 2.0]).recorded(LIMIT) is None


def test_what_a_policy_records_is_a_column_of_its_own_after_all_others_and_has_a_chart() -> None:
    kept = of(AutoClip(50.0), [1.0, 3.0, 2.0, 4.0], block=3)
    assert kept.table().column_names == ["update", *FIXED, "grad_norm/w", "grad_norm/b", "clip/limit"]
    limits = kept.recorded(LIMIT)
    assert limits is not None
    assert limits.tolist() == pytest.approx([1.0, 2.0, 2.0, 2.5])
    points = [point for _, point in Envelope(kept, 4, 40).add(kept.rows(), last=True)]
    assert [point["clip/limit"] for point in points] == pytest.approx([1.0, 2.0, 2.0, 2.5])
    assert [point["clip/active"] for point in points] == [0.0, 1.0, 0.0, 1.0]


def test_an_update_in_which_a_part_was_clipped_counts_as_clipped() -> None:
    kept = of(ClipPerParameter(1.0), [1.0, 1.4, 2.0])
    share = kept.recorded(SHARE)
    assert share is not None
    assert share.tolist() == [0.0, 0.5, 1.0]
    rows = kept.rows()
    assert acted(rows[:, TOTAL], rows[:, APPLIED], share).tolist() == [0.0, 0.5, 1.0]
    unseen = share * 0 + 0.01  # clipped before the norm could be taken
    assert (acted(rows[:, TOTAL], rows[:, TOTAL], unseen) > 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("block", [1, 2, 5, 1000])
def test_a_run_whose_policy_skips_goes_on_until_too_many_steps_in_a_row_are_not_finite(block: int, bad: float) -> None:
    few = [1.0, bad, bad, 1.0, bad, 1.0, bad, bad]
    kept = of(SkipNonFinite(2), few, block)
    assert (kept.diverged, len(kept)) == (None, 8)
    assert kept.rows()[:, APPLIED].tolist() == [1.0 if math.isfinite(size) else 0.0 for size in few]
    assert of(SkipNonFinite(2), [*few, bad, 1.0], block).diverged == 9
    assert of(ClipNorm(1.0), few, block).diverged == 2


def test_the_count_of_steps_in_a_row_goes_on_after_a_resume() -> None:
    first, resumed = of(SkipNonFinite(2), [1.0, math.nan, math.nan]), History(["w", "b"], beside=(SHARE,), patience=2)
    resumed.load_state(first.state())
    lost = torch.tensor(math.nan)
    clipped = Clipped(lost.expand(2), lost, torch.zeros(()))
    resumed.append(Update(lost, clipped, {SHARE: torch.ones(())}), lr=0.1)
    resumed.flush()
    assert resumed.diverged == 4


def test_a_loss_of_inf_is_one_that_a_policy_may_skip_whatever_multiple_counts_as_diverged() -> None:
    kept = History(["w"], divergence=10.0, beside=(SHARE,), patience=2)
    for loss in (1.0, math.inf, 2.0):
        size = torch.tensor(loss)
        kept.append(Update(size, Clipped(size[None], size, size), {SHARE: torch.zeros(())}), lr=0.1)
    kept.flush()
    assert kept.diverged is None


def test_skipped_steps_show_in_every_chart_as_clipped_to_nothing() -> None:
    kept = of(SkipNonFinite(5), [1.0, math.nan, math.inf, 1.0])
    points = [point for _, point in Envelope(kept, 4, 40).add(kept.rows(), last=True)]
    for key, values in (("clip/active", [0, 1, 1, 0]), ("clip/scale", [1, 0, 0, 1]), ("clip/share", [0, 1, 1, 0])):
        assert [point[key] for point in points] == values
    assert [point["nonfinite/gradients"] for point in points] == [0, 1, 1, 0]
    assert [point["optimizer/effective_lr"] for point in points] == pytest.approx([0.1, 0.0, 0.0, 0.1])


def test_the_more_probes_measure_the_fewer_parameters_have_a_chart() -> None:
    names = [f"weight.{i}" for i in range(20)]
    assert [len(History(names, names[-2:], probes=probes).charted) for probes in (0, 5, 10, 14)] == [6, 6, 2, 0]
    assert History(names, names[-2:], probes=10).charted == tuple(map(column, names[-2:]))


def test_a_first_loss_that_was_survived_leaves_later_ones_their_bound() -> None:
    kept = History(["w"], divergence=10.0, beside=(SHARE,), patience=2)
    for loss in (math.nan, 1.0, 11.0):
        size = torch.tensor(loss)
        kept.append(Update(size, Clipped(size[None], size, size), {SHARE: torch.zeros(())}), lr=0.1)
    kept.flush()
    assert kept.diverged == 3


def test_a_history_that_was_kept_before_its_first_update_goes_on() -> None:
    kept = History(NAMES, divergence=10.0)
    kept.load_state(History(NAMES).state())
    assert kept.last is None
    kept.append(update(1.0), 0.1)
    kept.flush()
    assert (len(kept), kept.diverged) == (1, None)
