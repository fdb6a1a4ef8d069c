"""Copying on a stream (Aicher, Foti & Fox 2019, arXiv 1905.07473, section 5.1; as in its released code).

A marker and m - 1 letters come in, then m blanks, at which the same m symbols are to come out; and again, without end:
every symbol is asked for exactly m steps after it came. The state is carried from batch to batch, so that only the
truncation decides whether a loss reaches back m steps.

    in    # c a d b . . . . . # b b a c . . . . .       m = 5
    out   . . . . . # c a d b . . . . . # b b a c

All steps count. The best answer without memory that knows where letters are due, but not which, costs ln K nats at
m - 1 of 2 m steps: a perplexity of K^((m - 1) / 2 m), 1.741 for m = 5 and 1.866 for m = 10 with 4 letters.

Departures: a stream starts with a random number of blanks, and a whole period after them. The release cuts its streams
at a random step instead, and cuts all of them once more for every further one, which damages their ends: its level
without memory is 1.686 for m = 10.
"""

import math
from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.language import LanguageStreamCopyingConfig as Config
from study.tasks.contract import Batch, Split
from study.tasks.fresh_stream import FreshStream
from study.tasks.metrics import LanguageMetrics
from study.tasks.synthetic import Synthetic

BLANK, MARKER, LETTERS = 0, 1, 2


class StreamCopying(Synthetic):
    """Tokens and classes: 0 is blank, 1 the marker, the letters follow."""

    primary = "nats"

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._config = config
        self.inputs, self.targets = Inputs(LETTERS + config.letters, tokens=True), LETTERS + config.letters

    def batches(self, split: Split) -> FreshStream:
        """See `Task`."""
        config, train = self._config, split == "train"
        stretches, seed = (config.sequences, self._seed) if train else (config.held_out, 0)
        return FreshStream(self.stream, stretches, config.batch_size, config.seq_len, seed, split, fixed=not train)

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`; streams of `seq_len` steps."""
        return self.stream(self._config.seq_len, width, draws)

    def stream(self, steps: int, width: int, draws: Generator) -> Batch:
        """`width` streams of so many steps."""
        shortest, longest = self._config.shortest, self._config.longest
        periods = math.ceil(steps / (2 * shortest))
        lengths = torch.randint(shortest, longest + 1, (periods, 1, width), generator=draws)
        symbols = torch.randint(LETTERS, self.targets, (periods, longest, width), generator=draws)
        symbols[:, 0] = MARKER
        shift = torch.randint(2 * longest, (width,), generator=draws)
        places = shift + 2 * (lengths.cumsum(0) - lengths) + torch.arange(longest)[:, None]
        within = torch.arange(longest)[:, None] < lengths

        def laid_out(at: Tensor) -> Tensor:
            """The symbols at their steps; what lies past the end goes into one row more, which is left out."""
            rows = torch.where(within, at, steps).clamp(max=steps).flatten(0, 1)
            return torch.full((steps + 1, width), BLANK).scatter_(0, rows, symbols.flatten(0, 1))[:steps]

        return Batch(laid_out(places), laid_out(places + lengths))

    def metrics(self) -> LanguageMetrics:
        """Nats and perplexity."""
        return LanguageMetrics(characters=False)

    def solved(self, test: Mapping[str, float], guess: Mapping[str, float]) -> bool:
        """A tenth of the nats of the guess without memory (as in copying); for m = 5 a perplexity of 1.057."""
        return test["nats"] < 0.1 * guess["nats"]

    def baseline(self, batch: Batch) -> Tensor:
        """It knows where markers and letters are due, but not which letters."""
        guess = torch.zeros(self.targets)
        guess[LETTERS:] = 1 / self._config.letters
        return torch.where((batch.targets < LETTERS)[..., None], one_hot(batch.targets, self.targets).float(), guess)
