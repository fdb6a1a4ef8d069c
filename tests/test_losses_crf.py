"""The chain of labels, against every sequence there is; its learnt scores in the model, the history and the probes."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.norm import ClipNorm
from study.learning.losses.crf import LinearChainCRF
from study.learning.losses.cross_entropy import CrossEntropy
from study.models import Inputs, RecurrentModel, core_class
from study.probes.flow import gradient_flow
from study.schema import Config
from study.schema.probe import PROBES
from study.tasks.contract import Batch
from study.testing.probes import everything, full_plan, table
from study.train import assemble
from study.training.trainer import fit

Configure = Callable[..., Config]
TAGS, STEPS = 3, 4
CRF = LinearChainCRF()
DRAWN = ("task.seq_len=6", "task.sequences=80", "task.held_out=8", "task.batch_size=8")
PARITY = ("task=labelling_parity", *DRAWN, "model.hidden_size=3", "probe=none")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chains(steps: int) -> Iterator[tuple[int, ...]]:
    return itertools.product(range(TAGS), repeat=steps)


def score(outputs: Sequence[Tensor], tags: Sequence[int]) -> Tensor:
    """s(y) of one sequence, term by term; `outputs` of the steps that count."""
    last = len(tags) - 1
    total = outputs[0][TAGS + tags[0]] + outputs[last][2 * TAGS + tags[last]]
    for t, tag in enumerate(tags):
        total = total + outputs[t][tag]
        if t:
            total = total + outputs[t][3 * TAGS + TAGS * tags[t - 1] + tag]
    return total


def brute(outputs: Sequence[Tensor], tags: Sequence[int]) -> Tensor:
    """-log p, over all sequences."""
    whole = torch.stack([score(outputs, other) for other in chains(len(outputs))])
    return whole.logsumexp(0) - score(outputs, tags)


def drawn(width: int = 1, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    outputs = 2 * normal(steps, width, CRF.outputs(TAGS) + CRF.constants(TAGS))
    return outputs, torch.randint(TAGS, (steps, width), generator=torch.Generator().manual_seed(1))


MASKS = ([1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0])
"""Padding at the end, and steps in between that do not count: the chain runs past them."""


def test_the_likelihood_and_its_gradient_are_those_of_all_sequences() -> None:
    mask = torch.tensor(MASKS).bool().T
    outputs, targets = drawn(len(MASKS))
    given, literal = (outputs.clone().requires_grad_() for _ in range(2))
    total = CRF.total(given, targets, mask)
    terms = []
    for b, counts in enumerate(mask.T):
        steps = counts.nonzero()[:, 0].tolist()
        if steps:
            terms.append(brute([literal[t, b] for t in steps], [int(targets[t, b]) for t in steps]))
    expected = torch.stack(terms).sum()
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    found, wanted = torch.autograd.grad(total, given)[0], torch.autograd.grad(expected, literal)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_the_probabilities_of_all_sequences_add_up_to_one() -> None:
    outputs, _ = drawn()
    each = [torch.tensor(tags)[:, None] for tags in chains(STEPS)]
    assert sum(math.exp(-float(CRF.total(outputs, tags, None))) for tags in each) == pytest.approx(1.0)


def test_predictions_are_the_best_sequence_and_the_best_through_every_class() -> None:
    mask = torch.tensor(MASKS[:-1]).bool().T
    outputs, _ = drawn(len(MASKS) - 1)
    predictions = CRF.predict(outputs, mask)
    for b, counts in enumerate(mask.T):
        steps = counts.nonzero()[:, 0]
        scores = {tags: float(score([outputs[t, b] for t in steps], tags)) for tags in chains(len(steps))}
        best = max(scores, key=lambda tags: scores[tags])
        assert predictions[steps, b].argmax(-1).tolist() == list(best)
        for place, step in enumerate(steps):
            through = [max(s for tags, s in scores.items() if tags[place] == tag) for tag in range(TAGS)]
            expected = torch.tensor(through, dtype=torch.float64).softmax(-1)
            torch.testing.assert_close(predictions[step, b], expected)


def test_without_transitions_it_is_cross_entropy() -> None:
    outputs, targets = drawn(5)
    outputs[..., TAGS:] = 0.0
    emissions = outputs[..., :TAGS]
    torch.testing.assert_close(CRF.total(outputs, targets, None), CrossEntropy().total(emissions, targets, None))
    torch.testing.assert_close(CRF.predict(outputs), emissions.softmax(-1))


def test_its_measure_is_the_surprise_of_the_sequences_whatever_they_are_divided_by() -> None:
    outputs, targets = drawn(2)
    own = LinearChainCRF("sum").measures(outputs, targets, None)
    torch.testing.assert_close(own, {"chain_nats": CRF.total(outputs, targets, None)})


def model(bidirectional: bool = False, seed: int = 0) -> RecurrentModel:
    """Of two layers, with dropout; the learnt scores are away from their start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        cores = [core_class("gru")(3, 5, 2, dropout=0.3) for _ in range(1 + bidirectional)]
        outputs, constants = CRF.outputs(TAGS), CRF.constants(TAGS)
        made = RecurrentModel(Inputs(3, tokens=False), cores[0], outputs, 0.3, *cores[1:], constants=constants).double()
    made.get_parameter("head.constants").data.copy_(normal(constants))
    return made


def sentences(time: int = 9, width: int = 4, filling: float = 0.0) -> Batch:
    mask = torch.arange(time)[:, None] < torch.tensor([time, 6, time, 3][:width])
    targets = torch.arange(time * width).view(time, width) % TAGS
    return Batch(torch.where(mask[..., None], normal(time, width, 3), filling), torch.where(mask, targets, 0), mask)


def trainer(bidirectional: bool = False) -> TruncatedBPTT:
    made = model(bidirectional)
    return TruncatedBPTT(made, CRF, torch.optim.Adam(made.parameters(), 0.01), ClipNorm(0.1))


def test_its_learnt_scores_are_the_same_at_every_step_and_start_at_zero(configure: Configure) -> None:
    outputs, _ = model()(normal(6, 2, 3))
    assert outputs.shape[-1] == TAGS**2 + 3 * TAGS
    assert (outputs[..., TAGS:] == outputs[0, 0, TAGS:]).all()
    assert (outputs[..., :TAGS] != outputs[0, 0, :TAGS])[1:].all()
    both = (assemble(configure(*PARITY, f"loss={loss}"))[1] for loss in ("crf", "cross_entropy"))
    chain, steps = (dict(module.model.named_parameters()) for module in both)
    assert not chain.pop("head.constants").any()
    torch.testing.assert_close(chain, steps, rtol=0, atol=0)


def test_they_are_trained_clipped_and_kept_like_every_other_parameter(configure: Configure) -> None:
    config = configure(*PARITY, "loss=crf", "trainer.max_updates=20", "clip=norm")
    _, module = assemble(config)
    fit(module, config.trainer, config.seed, [])
    table = module.history.table()
    assert (table["grad_norm/head.constants"].to_numpy() > 0).all()
    assert module.model.get_parameter("head.constants").abs().min() > 0
    kept = module.state()["model"]["head.constants"]
    assert torch.equal(kept, module.model.get_parameter("head.constants"))


def test_a_loss_at_one_position_is_a_chain_of_one_step() -> None:
    made, data = model().eval(), sentences()
    found = gradient_flow(made, CRF, data, 0, 1).log_norms
    hidden, _ = made.core(data.inputs)
    for sequence, at in ((0, 8), (2, 8)):
        top = hidden[at, sequence].detach().requires_grad_()
        outputs = made.head(top[None, None])
        tags = [int(data.targets[at, sequence])]
        (slope,) = torch.autograd.grad(brute([outputs[0, 0]], tags), top)
        sample = [0, None, 1][sequence]
        assert found[0, 1, 0, sample] == pytest.approx(float(slope.norm().log()))


WHOLE = [name for name in PROBES if name not in ("truncation", "alignment")]
"""The probes that cut no sequence into windows; the configuration refuses the others."""


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_every_probe_of_whole_sequences_measures_a_chain_and_leaves_it_alone(name: str, bidirectional: bool) -> None:
    bptt, kind = trainer(bidirectional), PROBES.implementation(name)
    for _ in bptt.updates(sentences()):
        pass
    before = everything(bptt)
    clean, dirty = (table(kind.measure(full_plan(name), bptt, sentences(filling=x))).to_pandas() for x in (0.0, 1e3))
    torch.testing.assert_close(everything(bptt), before, rtol=0, atol=0)
    assert np.isfinite(clean.select_dtypes("number").to_numpy(float)).any()
    pd.testing.assert_frame_equal(clean, dirty, rtol=1e-9, atol=1e-12)
