"""The copying problem (Hochreiter & Schmidhuber 1997; as in Arjovsky, Shah & Bengio 2016, arXiv 1511.06464).

m symbols out of K letters come in, then a silence of T steps whose last is the signal to answer, then m silent steps in
which the same symbols have to be given back; the answer to all other steps is silence. So each symbol is asked for
m + T steps after it came. Without memory the best answer is silence until the signal and then a guess among the
letters: m ln K / (T + 2 m) nats a step.
"""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.language import LanguageCopyingConfig as Config
from study.tasks.contract import Batch
from study.tasks.metrics import LanguageMetrics
from study.tasks.synthetic import Synthetic

SILENCE = 0


class Copying(Synthetic):
    """Tokens: 0 is silence, 1..K the letters, K + 1 the signal."""

    primary = "nats"

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._config, self._signal = config, config.letters + 1
        self.inputs, self.targets = Inputs(config.letters + 2, tokens=True), config.letters + 2

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`; where the number of symbols varies, shorter sequences are padded."""
        config = self._config
        time, places = config.delay + 2 * config.longest, torch.arange(config.longest)[:, None]
        kept = torch.randint(config.shortest, config.longest + 1, (width,), generator=draws)
        letters = torch.randint(1, self._signal, (config.longest, width), generator=draws)
        shown, answer = torch.where(places < kept, letters, SILENCE), kept + config.delay
        inputs, targets = torch.full((2, time, width), SILENCE)
        inputs[: config.longest] = shown
        inputs.scatter_(0, answer[None] - 1, self._signal)
        targets.scatter_(0, places + answer, shown)
        if config.shortest == config.longest:
            return Batch(inputs, targets)
        return Batch(inputs, targets, torch.arange(time)[:, None] < answer + kept)

    def metrics(self) -> LanguageMetrics:
        """Nats and perplexity."""
        return LanguageMetrics(characters=False)

    def solved(self, test: Mapping[str, float], guess: Mapping[str, float]) -> bool:
        """A tenth of the nats of the guess without memory."""
        return test["nats"] < 0.1 * guess["nats"]

    def baseline(self, batch: Batch) -> Tensor:
        """The published baseline: it knows where the answer is, but not which."""
        guess = torch.zeros(self.targets)
        guess[1 : self._signal] = 1 / self._config.letters
        silence = one_hot(torch.tensor(SILENCE), self.targets).float()
        return torch.where((batch.targets == SILENCE)[..., None], silence, guess)
