"""The tokens of a text, numbered by its training part; 0 stands for those it holds too rarely or not at all."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from study.data.corpora.tokens import END_OF_LINE, words_of
from study.models import Inputs
from study.tasks.preprocessing import Columns, Preprocessing, log_probability


class Vocabulary(Preprocessing):
    """Tokens by number.

    Args:
        tokens: the unknown one first.
        level: what a token is.
    """

    def __init__(self, tokens: Sequence[str], level: Literal["char", "word"]):
        self.tokens, self.level = np.array([*tokens], dtype=object), level
        self.inputs, self.targets = Inputs(len(self.tokens), tokens=True), len(self.tokens)

    def as_dict(self) -> dict[str, Any]:
        """The tokens in their order, and the level."""
        return {"tokens": self.tokens.tolist(), "level": self.level}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Vocabulary":
        """See `Preprocessing`."""
        return cls(kept["tokens"], kept["level"])

    def encode(self, text: str) -> tuple[np.ndarray, Int[Tensor, " tokens"]]:
        """The tokens of a text as they stand there, and their numbers."""
        written = np.array(list(text) if self.level == "char" else words_of(text), dtype=object)
        numbers = {token: number for number, token in enumerate(self.tokens)}
        return written, torch.tensor([numbers.get(token, 0) for token in written])

    def text(self, numbers: Sequence[int]) -> str:
        """See `Preprocessing`; words stand between spaces."""
        tokens = self.tokens[list(numbers)]
        if self.level == "char":
            return "".join(tokens)
        return " ".join("\n" if token == END_OF_LINE else token for token in tokens).replace(" \n ", "\n")

    def answers(self, predictions: Tensor, inputs: Tensor, targets: Tensor) -> Columns:
        """`log_probability` of every token given those before it, in nats."""
        return {"log_probability": log_probability(predictions, targets)}

    def table(self, names: Columns, answers: Columns) -> pd.DataFrame:
        """As they are."""
        return pd.DataFrame({**names, **answers})

    def measures(self, table: pd.DataFrame) -> dict[str, float]:
        """`nats` and `perplexity`."""
        nats = -float(table["log_probability"].mean())
        return {"nats": nats, "perplexity": float(np.exp(nats))}
