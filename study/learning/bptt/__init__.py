"""Truncated backpropagation through time: windows, carry, detach, one update. Plain torch, no Lightning.

BPTT(k2; k1), Williams & Peng 1990's BPTT(h; h'): after every k1 steps, the gradient of the losses of these k1 steps
flows back at most k2 steps from the last of them; there the state is detached. So a loss reaches k2 - k1 .. k2 - 1
steps back; plain blocks (k1 = k2) reach 0 .. k2 - 1. With k2 >= T it is full BPTT, whatever k1 is.

    k1 = 2, k2 = 4    step      0 1 2 3 4 5
                      window 1  L L              L: its loss counts
                      window 2  . . L L          .: read again, so that gradients can flow back through it
                      window 3      . . L L

A stream is one long sequence that comes in batches of T steps. There k2 reaches back across the batches' borders: the
last k2 - k1 steps of a batch, and the state before them, are kept for the windows of the next one (`Carry`). So k2 may
be larger than T, as in Aicher, Foti & Fox 2019 (arXiv 1905.07473).

`conf/bptt` chooses between windows of these fixed lengths (`truncated`), of a k2 that follows the gradients
(`adaptive`), and of random lengths (`artbp`); see `docs/truncation.md`.
"""

from study.learning.bptt.build import build, expected_updates, records
from study.learning.bptt.carry import Carry, load_carry
from study.learning.bptt.truncated import TruncatedBPTT, Update, Witness
from study.learning.bptt.windows import Window, count, refuse_unreachable, stream_lengths, windows

__all__ = [
    "Carry",
    "TruncatedBPTT",
    "Update",
    "Window",
    "Witness",
    "build",
    "count",
    "expected_updates",
    "load_carry",
    "records",
    "refuse_unreachable",
    "stream_lengths",
    "windows",
]
