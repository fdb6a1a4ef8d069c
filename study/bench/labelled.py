"""Runs whose diagnosis follows from how they are made: set-ups by label, and what the diagnosis must then say."""

from collections.abc import Iterator
from typing import NamedTuple

from study.schema.model import MODELS

FINE = ("healthy", "short memory", "kept", "latched", "undecided")
"""Verdicts that call nobody ill."""
NOT_VANISHING = (*FINE, "exploding", "chaotic")
LEARNT = ("completed", "ahead")


class Label(NamedTuple):
    """What a diagnosis must say of runs that are made in one way.

    Attributes:
        outcomes: allowed ones.
        verdicts: allowed ones.
        causes: allowed ones.
        why: how the label follows from the construction.
    """

    outcomes: tuple[str, ...]
    verdicts: tuple[str, ...]
    causes: tuple[str, ...]
    why: str


LABELS = {
    "too large steps": Label(
        ("ruined", "diverged"),
        NOT_VANISHING,
        ("step size", "gradient"),
        "the same set-up with a hundredth of the rate learns; with this one the test part ends no better than a guess",
    ),
    "learns": Label(LEARNT, FINE, ("none",), "real data, usual rate: better than the guess without memory"),
    "solved": Label(("solved",), FINE, ("none",), "synthetic, short enough to be solved"),
    "vanishing": Label(
        ("learned nothing", "completed"),
        ("vanishing",),
        ("gradient", "saturation"),
        "the recurrence contracts from the start (gain .5, closed forget gates), and the task needs the far past",
    ),
    "exploding": Label(
        ("learned nothing", "ruined", "diverged"),
        ("exploding", "chaotic"),
        ("gradient",),
        "the recurrence expands from the start: relu units, gain 2; tanh units, gain 4",
    ),
    "reach": Label(
        ("learned nothing", "completed"), (*NOT_VANISHING, "vanishing"), ("reach",), "k2 ends before the known lag"
    ),
    "cannot be expressed": Label(
        ("learned nothing", "completed"),
        (*FINE, "vanishing"),
        ("expressivity", "gradient"),
        "a state to track, and a recurrence that is linear in its own (Merrill et al. 2024); its gates may close too",
    ),
    "k2 = 1": Label(LEARNT, FINE, ("none",), "no product of Jacobians enters the gradient; usual rate"),
    "k2 = 1, too large steps": Label(
        ("ruined", "diverged"), FINE, ("step size",), "no product of Jacobians enters the gradient; ruinous rate"
    ),
    "too small steps": Label(
        ("learned nothing",), FINE, ("step size", "budget"), "steps that add up to next to nothing"
    ),
    "nothing to learn": Label(
        ("learned nothing", "completed", "ahead"), FINE, ("unknown", "none"), "the returns of stocks"
    ),
}

STOCKS, BIBLE, WORDS = "forecasting_stocks", "language_bible_char", "labelling_porttinari_pos"
ADDING, ORDER, PARITY, COPYING = (
    "forecasting_adding",
    "labelling_temporal_order",
    "labelling_parity",
    "language_copying",
)


class Setting(NamedTuple):
    """A labelled set-up: overrides of the command line, without the seed."""

    label: str
    overrides: tuple[str, ...]


def settings(models: tuple[str, ...]) -> Iterator[Setting]:
    """Every labelled set-up, for every one of the `models` where the label follows for it."""
    for label, task, model, more in _rows(models):
        yield Setting(label, (f"task={task}", f"model={model}", *more.split()))


def unseen(models: tuple[str, ...]) -> Iterator[Setting]:
    """Set-ups of the same labels on other tasks, sizes and rates: the rules were fixed before they were run."""
    for model in models:
        for label, overrides in UNSEEN.items():
            for one in overrides:
                yield Setting(label, (f"model={model}", *one.split()))
    for label, overrides in UNSEEN_OF_ELMAN.items():
        for one in overrides:
            yield Setting(label, ("model=elman", *one.split()))


UNSEEN = {
    "too large steps": (
        "task=forecasting_sine_mix optimizer=sgd optimizer.lr=1000 trainer.max_updates=200",
        "task=language_bible_word optimizer=sgd optimizer.lr=1000 trainer.max_updates=100",
        "task=labelling_hironsan_ner optimizer=sgd optimizer.lr=1000 trainer.max_updates=100",
        "task=labelling_porttinari_pos model.num_layers=2 optimizer.lr=3 trainer.max_updates=150",
    ),
    "learns": (
        "task=forecasting_sine_mix optimizer.lr=0.01 trainer.max_updates=400",
        "task=language_bible_char model.num_layers=2 optimizer.lr=0.01 trainer.max_updates=400",
        "task=forecasting_stocks bptt.k2=10 clip=norm clip.threshold=0.1 trainer.max_updates=600",
    ),
    "k2 = 1": ("task=labelling_porttinari_pos bptt.k2=1 optimizer.lr=0.01 trainer.max_updates=1500",),
    "k2 = 1, too large steps": ("task=language_bible_char bptt.k2=1 optimizer.lr=10 trainer.max_updates=150",),
    "too small steps": (
        "task=forecasting_sine_mix optimizer.lr=1e-8 trainer.max_updates=100",
        "task=language_bible_word optimizer=sgd optimizer.lr=1e-6 trainer.max_updates=50",
    ),
    "reach": (
        "task=labelling_temporal_order task.seq_len=40 bptt.k2=10 trainer.max_updates=200",
        "task=forecasting_adding task.seq_len=80 bptt.k2=20 bptt.k1=5 trainer.max_updates=200",
    ),
}
UNSEEN_OF_ELMAN = {
    "vanishing": (
        "task=forecasting_adding task.seq_len=100 model.gain=0.7 optimizer=sgd optimizer.lr=0.03 trainer.max_updates=200",  # noqa: E501
        "task=labelling_temporal_order task.seq_len=80 model.gain=0.3 model.num_layers=2 trainer.max_updates=150",
    ),
    "exploding": (
        "task=language_copying task.delay=30 model.gain=5 optimizer.lr=1e-4 trainer.max_updates=150",
        "task=labelling_temporal_order task.seq_len=40 model.activation=relu model.gain=4 optimizer.lr=1e-3 "
        "trainer.max_updates=50",
    ),
    "solved": ("task=labelling_parity task.seq_len=15 optimizer.lr=0.01 trainer.max_updates=400",),
}


def _rows(models: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    sgd = "optimizer=sgd optimizer.lr="
    for model in models:
        yield "too large steps", STOCKS, model, f"{sgd}300 trainer.max_updates=150"
        yield "too large steps", BIBLE, model, f"{sgd}300 trainer.max_updates=150"
        yield "too large steps", WORDS, model, f"{sgd}300 trainer.max_updates=150"
        yield "too large steps", BIBLE, model, "optimizer.lr=10 trainer.max_updates=150"
        yield "learns", STOCKS, model, "trainer.max_updates=400"
        yield "learns", BIBLE, model, f"{sgd}10 clip=norm clip.threshold=0.1 trainer.max_updates=400"
        yield "learns", WORDS, model, "optimizer.lr=0.01 trainer.max_updates=500"
        yield "k2 = 1", STOCKS, model, "bptt.k2=1 trainer.max_updates=600"
        yield "k2 = 1, too large steps", STOCKS, model, "bptt.k2=1 optimizer.lr=10 trainer.max_updates=150"
        yield "too small steps", STOCKS, model, f"{sgd}1e-7 trainer.max_updates=100"
        yield "too small steps", BIBLE, model, "optimizer.lr=1e-7 trainer.max_updates=100"
        yield "too small steps", WORDS, model, f"{sgd}1e-5 trainer.max_updates=100"
        yield "nothing to learn", STOCKS, model, "task.target=log_return trainer.max_updates=200"
        yield "reach", ADDING, model, "task.seq_len=40 bptt.k2=5 trainer.max_updates=300"
        yield "reach", COPYING, model, "bptt.k2=2 trainer.max_updates=200"
        if MODELS.config(model).linear:
            yield "cannot be expressed", PARITY, model, "optimizer.lr=0.01 trainer.max_updates=300"
    yield "solved", PARITY, "elman", "trainer.max_updates=400"
    yield "solved", ORDER, "lstm", "task.seq_len=20 trainer.max_updates=600"
    yield "solved", ORDER, "gru", "task.seq_len=20 trainer.max_updates=600"
    yield "solved", ADDING, "gru", "task.seq_len=20 trainer.max_updates=600"
    yield "vanishing", ADDING, "elman", "task.seq_len=60 model.gain=0.5 trainer.max_updates=200"
    yield "vanishing", ORDER, "elman", "task.seq_len=60 model.gain=0.5 trainer.max_updates=200"
    yield "vanishing", COPYING, "elman", "task.delay=20 model.gain=0.5 trainer.max_updates=200"
    yield "vanishing", ADDING, "lstm", "task.seq_len=60 model.forget_bias=-3 trainer.max_updates=200"
    yield "vanishing", ORDER, "lstm", "task.seq_len=60 model.forget_bias=-3 trainer.max_updates=200"
    clip = "clip=norm clip.threshold=0.1 trainer.max_updates=100"
    explode = "model.activation=relu model.gain=3 optimizer=sgd optimizer.lr="
    yield "exploding", ADDING, "elman", f"task.seq_len=60 {explode}1e-3 trainer.max_updates=100"
    yield "exploding", ORDER, "elman", f"task.seq_len=60 {explode}1e-3 trainer.max_updates=100"
    yield "exploding", ADDING, "elman", f"task.seq_len=60 {explode}1e-4 {clip}"
    yield "exploding", ORDER, "elman", "task.seq_len=60 model.gain=4 optimizer.lr=1e-4 trainer.max_updates=200"
    yield "exploding", ADDING, "elman", "task.seq_len=60 model.gain=4 optimizer.lr=1e-4 trainer.max_updates=200"
