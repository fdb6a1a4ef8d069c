"""Multi-query associative recall (Arora et al. 2023, "Zoology", arXiv 2312.04927; sequences as in its released code).

D pairs come first, a key and then its value; after them every key comes once more, at an even number of steps after the
pairs, and its value is asked for at that step. All other steps are blank.

    key value key value  .  .  key  .  .  .  .  .  key  .       D = 2
      a     x   b     y         b                    a
                                y                    x          the answers

That a query comes g places of two steps after the pairs has a probability in proportion to (g + 1)^(.01 - 1), for in
texts the gap between a word and its next occurrence follows a power law; no place is taken twice. A network must keep D
associations at once: the size of its state decides how many it can. Without memory every value is equally likely: one
answer in V is right.

Departures: blanks between queries are always the same token (the release may put random ones), keys and values have
numbers of their own, and sequences are small.
"""

import torch
from torch import Generator

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.language import LanguageMQARConfig as Config
from study.tasks.contract import Batch
from study.tasks.synthetic import DrawnClasses

POWER = 0.01
"""Exponent of the power law of gaps, plus 1."""


class MQAR(DrawnClasses):
    """Tokens: 0 is blank, then the keys, then the values. Classes: the values."""

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._config = config
        self.inputs, self.targets = (
            Inputs(1 + config.key_tokens + config.value_tokens, tokens=True),
            config.value_tokens,
        )
        places = (config.seq_len - 2 * config.pairs) // 2
        self._weights = torch.arange(1, places + 1) ** (POWER - 1)

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`."""
        config, shape = self._config, (self._config.seq_len, width)
        keys = 1 + torch.rand(config.key_tokens, width, generator=draws).topk(config.pairs, 0).indices
        values = torch.rand(config.value_tokens, width, generator=draws).topk(config.pairs, 0).indices
        gaps = torch.multinomial(self._weights.expand(width, -1), config.pairs, generator=draws).T
        queries = 2 * config.pairs + 2 * gaps
        inputs, targets = torch.zeros(2, *shape, dtype=torch.int64)
        inputs[0 : 2 * config.pairs : 2], inputs[1 : 2 * config.pairs : 2] = keys, 1 + config.key_tokens + values
        asked = torch.zeros(shape, dtype=torch.bool).scatter_(0, queries, torch.ones_like(queries, dtype=torch.bool))
        return Batch(inputs.scatter_(0, queries, keys), targets.scatter_(0, queries, values), asked)
