"""Temporal order (Hochreiter & Schmidhuber 1997, tasks 6a and 6b; lengths as in Pascanu, Mikolov & Bengio 2013).

In a row of T symbols two or three are X or Y, the others distractors a, b, c, d; at the last step the class is which of
X and Y came in which order. Two stand in [T/10, 2T/10) and [5T/10, 6T/10); three in [T/10, 2T/10), [33T/100, 43T/100)
and [66T/100, 76T/100): the last is T/4 to T/2 steps back, the first up to 9T/10. Guessing is right once in 4 or 8.

Departures: T is the same for all sequences (1997: 100 to 110), and there are no symbols for begin and end.
"""

import torch
from torch import Generator

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingTemporalOrderConfig as Config
from study.tasks.contract import Batch
from study.tasks.synthetic import DrawnClasses

STRETCHES = {2: (0.1, 0.5), 3: (0.1, 0.33, 0.66)}
"""Where the tenth of the sequence begins in which each marker stands, by their number."""
MARKERS, DISTRACTORS = 2, 4


class TemporalOrder(DrawnClasses):
    """Tokens: 0 is X, 1 is Y, 2 to 5 the distractors."""

    inputs = Inputs(MARKERS + DISTRACTORS, tokens=True)

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        time = self._seq_len = config.seq_len
        self._firsts = torch.tensor([[int(share * time)] for share in STRETCHES[config.markers]])
        self.targets = MARKERS**config.markers
        self._last = torch.arange(time)[:, None] == time - 1

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`."""
        time, count = self._seq_len, len(self._firsts)
        symbols = torch.randint(MARKERS, MARKERS + DISTRACTORS, (time, width), generator=draws)
        markers = torch.randint(MARKERS, (count, width), generator=draws)
        places = self._firsts + torch.randint(max(1, time // 10), (count, width), generator=draws)
        classes = (markers * MARKERS ** torch.arange(count)[:, None]).sum(0)
        mask = self._last.expand(time, width)
        return Batch(symbols.scatter_(0, places, markers), classes * mask, mask)
