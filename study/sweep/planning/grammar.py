"""`sweep.arms` and `sweep.search`, read in Hydra's syntax: the values to compare, and the space to tune in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException

from study.errors import ConfigError

if TYPE_CHECKING:
    import optuna

Grid = dict[str, list[str]]
"""Key -> values to compare, as they stand on a command line."""

NAME = "name"
"""The one key of a grid that is no key of the configuration: a name for its arms."""

SYNTAX = "see https://hydra.cc/docs/advanced/override_grammar/extended"
SAMPLES = "interval(low, high), tag(log, interval(low, high)), int(...) of them, range(...) or choice(...)"


@dataclass(frozen=True)
class Dimension:
    """One tuned key: numbers from `low` to `high` in steps (0: all between), or `choices` as on a command line.

    Studies keep its text, `str(dimension)`, to compare later plans with.
    """

    key: str
    low: int | float = 0
    high: int | float = 0
    step: int | float = 0
    log: bool = False
    choices: tuple[str, ...] = ()

    def suggest(self, trial: "optuna.Trial") -> str:
        """The value that the study's sampler proposes for `trial`."""
        if self.choices:
            return str(trial.suggest_categorical(self.key, self.choices))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return str(trial.suggest_int(self.key, self.low, self.high, step=int(self.step) or 1, log=self.log))
        return repr(trial.suggest_float(self.key, self.low, self.high, step=self.step or None, log=self.log))

    @property
    def words(self) -> str:
        """The space in words."""
        how = [*(["log"] if self.log else []), *([f"in steps of {self.step}"] if self.step else [])]
        return ", ".join(self.choices or (f"{self.low} to {self.high}", *how))

    @property
    def corners(self) -> tuple[str, ...]:
        """Values to check before anything runs: both ends, or every choice."""
        return self.choices or (repr(self.low), repr(self.high))


def grids(arms: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """Read `sweep.arms`, every value spelled out; without arms one empty grid, which makes one arm.

    Raises:
        ConfigError: naming the key, for an empty list of values, an interval, a value that Hydra cannot read.
    """
    return [{key: _values(key, value, "sweep.arms") for key, value in grid.items()} for grid in arms] or [{}]


def space(search: Mapping[str, Any]) -> dict[str, Dimension]:
    """Read `sweep.search`: dimensions by key.

    Raises:
        ConfigError: naming the key, for a value that is no range, interval or choice.
    """
    return {
        key: Dimension(key, choices=tuple(_values(key, value, "sweep.search")))
        if isinstance(value, list)
        else dimension(parse(key, value, "sweep.search"))
        for key, value in search.items()
    }


def parse(key: str, value: Any, where: str) -> Override:
    """Read one key of a file as Hydra reads it on a command line."""
    try:
        return OverridesParser.create().parse_overrides([f"{key}={_text(value)}"])[0]
    except HydraException as error:
        raise ConfigError(f"{where}.{key} = {value!r}: Hydra cannot read it ({SYNTAX})") from error


def spelled(override: Override) -> list[str]:
    """The values of a choice or range, or the one value, as on a command line."""
    if override.is_discrete_sweep():
        try:
            found = list(override.sweep_string_iterator())
        except ValueError as error:  # a range in steps of 0
            raise ConfigError(f"{override.input_line}: {error}") from error
        if not found:
            raise ConfigError(f"{override.input_line}: leaves no value; give at least one")
        return found
    return [override.get_value_element_as_str()]


def dimension(override: Override) -> Dimension:
    """The space that an override describes.

    Raises:
        ConfigError: naming the key, for a value that is no range, interval or choice, or is empty.
    """
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        found = Dimension(key, value.start, value.end, log="log" in value.tags)
    elif isinstance(value, RangeSweep) and len(points := list(value.range())) > 1:
        found = Dimension(key, min(points), max(points), abs(value.step))
    elif override.is_choice_sweep():
        return Dimension(key, choices=tuple(spelled(override)))
    else:
        raise ConfigError(f"sweep.search.{key} = {override.get_value_string()}: nothing to tune; allowed: {SAMPLES}")
    if not found.low < found.high or (found.log and found.low <= 0):
        bounds = "low < high" + (" and, on a log scale, low > 0" if found.log else "")
        raise ConfigError(f"sweep.search.{key} = {override.get_value_string()}: needs {bounds}")
    return found


def _values(key: str, value: Any, where: str) -> list[str]:
    """A list's elements, one value, or those of a string in Hydra's syntax such as `elman,lstm`."""
    found = [parse(key, item, where) for item in (value if isinstance(value, list) else [value])]
    if any(override.is_interval_sweep() for override in found):
        raise ConfigError(f"{where}.{key} = {value!r}: an interval stands alone, under sweep.search: it is tuned")
    if not found:
        raise ConfigError(f"{where}.{key} = []: leaves no arm; give at least one value")
    return [text for override in found for text in spelled(override)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else Transformer.str(value)
