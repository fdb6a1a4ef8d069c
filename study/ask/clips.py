"""`CLIPS="norm=.1,.3 autoclip zclip.z=3"`: which clip policies a finished run is asked about. No torch here."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import ValidationError

from study.errors import ConfigError, nearest
from study.schema.base import reason
from study.schema.clip import CLIPS, ClipConfig
from study.schema.defaults import option
from study.schema.own import OwnFile

PERCENTILES = (50, 75, 90, 95, 99)
"""Of a run's own norms: the thresholds that are tried where none is given."""
SCALE = "threshold"
"""The key of a policy that is on the scale of the norms, so that no value of it suits every run."""
SYNTAX = "a name, or name=number,number for its first option, or name.option=number"


@dataclass(frozen=True)
class Wanted:
    """A clip policy to ask about.

    Attributes:
        name: of the policy.
        values: of its options; others are those of `conf/clip`.
        percentile: of a run's norms, which its threshold is then; 0: it is given, or it has none.
    """

    name: str
    values: Mapping[str, float | int] = field(default_factory=dict)
    percentile: int = 0

    @property
    def label(self) -> str:
        """What it is called where runs have thresholds of their own."""
        values: Mapping[str, object] = {SCALE: f"p{self.percentile}"} if self.percentile else self.values
        return " ".join([self.name, *(f"{key}={_text(value)}" for key, value in values.items())])

    def config(self, norms: Float[np.ndarray, " finite"]) -> ClipConfig | None:
        """Its configuration for a run with these finite norms; None where they make no threshold."""
        if not self.percentile:
            return checked(self.name, self.values)
        threshold = _rounded_up(float(np.percentile(norms, self.percentile))) if len(norms) else 0.0
        return checked(self.name, {SCALE: threshold}) if threshold > 0 else None


def wanted(text: str) -> list[Wanted]:
    """Read what was typed; nothing: every policy, those with a threshold at percentiles of the run's own norms.

    Raises:
        ConfigError: naming the policy or option that cannot be used, and what is allowed.
    """
    found = [one for word in text.split() or CLIPS for one in _read(word)]
    return list({one.label: one for one in found}.values())


def checked(name: str, values: Mapping[str, Any]) -> ClipConfig:
    """The configuration of a policy, with some of its options.

    Raises:
        ConfigError: an option has a value that is not allowed.
    """
    try:
        config: ClipConfig = CLIPS.config(name).model_validate(option("clip", name) | {**values})
    except ValidationError as error:
        wrong = [f"{item['loc'][0]} = {item['input']!r}: {reason(item['msg'])}" for item in error.errors()]
        raise ConfigError(f"clip={name}, {'; '.join(wrong)}") from error
    return config


def changes(config: ClipConfig) -> dict[str, object]:
    """The options of a policy that are not what `conf/clip` gives them."""
    usual = option("clip", config.name)
    return {key: value for key, value in config.model_dump().items() if value != usual.get(key)}


def called(config: ClipConfig) -> str:
    """A policy with its threshold, and what else is not usual in it; one in a file of its own by its class."""
    if isinstance(config, OwnFile):
        return f"{config.name} {config.called}"
    threshold = {SCALE: getattr(config, SCALE)} if SCALE in type(config).model_fields else {}
    return " ".join([config.name, *(f"{key}={_text(value)}" for key, value in (threshold | changes(config)).items())])


def _read(word: str) -> Iterator[Wanted]:
    """The policies that one word stands for."""
    place, _, numbers = word.partition("=")
    name, _, key = place.partition(".")
    if name not in (*CLIPS,):
        raise ConfigError(f"CLIPS: {name!r}: no such policy{nearest(name, CLIPS)} (allowed: {', '.join(CLIPS)})")
    options = [known for known in CLIPS.config(name).model_fields if known != "name"]
    if not (key or "=" in word):
        percentiles = PERCENTILES if SCALE in options else (0,)
        yield from (Wanted(name, percentile=percentile) for percentile in percentiles)
        return
    if not options or (key and key not in options):
        raise ConfigError(f"CLIPS: {word!r}: {name} has these options: {', '.join(options) or 'none'}")
    for number in numbers.split(","):
        one = Wanted(name, {key or options[0]: _number(number, word)})
        checked(name, one.values)
        yield one


def _rounded_up(value: float) -> float:
    """To four digits, so that it can be typed; never below, so that a norm of just this size is within."""
    exact = Decimal(value)
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 3), ROUND_CEILING))


def _text(value: object) -> str:
    """A number as short as it can be read back."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _number(text: str, word: str) -> float | int:
    if re.fullmatch(r"\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"CLIPS: {word!r}: {text!r} is no number (allowed: {SYNTAX})") from None
