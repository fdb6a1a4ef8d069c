"""`sweep.arms` and `sweep.search`, read in Hydra's syntax: the values to compare, and the space to tune in."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from study.command.messages import explained
from study.errors import ConfigError, shown

if TYPE_CHECKING:
    import optuna

Grid = dict[str, list[str]]
"""Key -> values to compare, as they stand on a command line."""

NAME = "name"
"""The one key of a grid that is no key of the configuration: a name for its arms."""

MOST = 10_000
"""Values of a key, and arms of a sweep: each arm is composed and checked before anything runs, 100 in a second."""

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
    return [{key: _compared(key, value) for key, value in grid.items()} for grid in arms] or [{}]


def _compared(key: str, value: Any) -> list[str]:
    """The values of one key of a grid; a name is a text as it stands there, whatever signs are in it."""
    if key != NAME:
        return _values(key, value, "sweep.arms")
    if isinstance(value, list | dict) or not str(value).strip():
        raise ConfigError(f"sweep.arms.name = {shown(value)}: one text, which names the arms of its grid")
    return [str(value)]


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
        with explained():
            return OverridesParser.create().parse_overrides([f"{key}={_text(value)}"])[0]
    except ConfigError as error:
        raise ConfigError(f"{where}.{key} = {shown(value)}: Hydra cannot read it ({SYNTAX})") from error


def spelled(override: Override) -> list[str]:
    """The values of a choice or range, or the one value, as on a command line."""
    if not override.is_discrete_sweep():
        return [override.get_value_element_as_str()]
    if isinstance(value := override.value(), RangeSweep):
        _refuse_endless(override, value)
    try:
        found = list(override.sweep_string_iterator())
    except (
        HydraException,
        OmegaConfBaseException,
    ) as error:  # a glob in a file, of no known group; a range in a choice
        raise ConfigError(f"{override.input_line}: {str(error).splitlines()[0]}") from error
    if not found:
        raise ConfigError(f"{override.input_line}: leaves no value; give at least one")
    return found


def _count(override: Override, sweep: RangeSweep) -> Decimal:
    """The number of values in a range; none of them is made.

    Raises:
        ConfigError: there is no end to them.
    """
    start, stop, step = (Decimal(number or 0) for number in (sweep.start, sweep.stop, sweep.step))
    if not (step and all(number.is_finite() for number in (start, stop, step))):
        raise ConfigError(f"{override.input_line}: a range has finite ends, and steps other than 0")
    return (stop - start) / step


def _refuse_endless(override: Override, sweep: RangeSweep) -> None:
    """Refuse a range of more values than are compared."""
    if (count := _count(override, sweep)) > MOST:
        raise ConfigError(f"{override.input_line}: a range of {count:.3g} values; at most {MOST:,} are compared")


def _ends(override: Override, sweep: RangeSweep) -> list[int | float]:
    """The first and the last value of a range, of one value that: of whole numbers there may be any number."""
    if _count(override, sweep) and isinstance(whole := sweep.range(), range):
        return [*dict.fromkeys((whole[0], whole[-1]))] if whole else []
    _refuse_endless(override, sweep)
    points = list(sweep.range())
    return [*dict.fromkeys((points[0], points[-1]))] if points else []


def dimension(override: Override) -> Dimension:
    """The space that an override describes.

    Raises:
        ConfigError: naming the key, for a value that is no range, interval or choice, or is empty.
    """
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        found = Dimension(key, value.start, value.end, log="log" in value.tags)
    elif isinstance(value, RangeSweep) and len(ends := _ends(override, value)) > 1:
        found = Dimension(key, min(ends), max(ends), abs(value.step))
    elif override.is_choice_sweep():
        return Dimension(key, choices=tuple(spelled(override)))
    else:
        raise ConfigError(f"sweep.search.{key} = {override.get_value_string()}: nothing to tune; allowed: {SAMPLES}")
    if not 0 < found.high - found.low < math.inf or (found.log and found.low <= 0):
        bounds = "finite low < high" + (" and, on a log scale, low > 0" if found.log else "")
        raise ConfigError(f"sweep.search.{key} = {override.get_value_string()}: needs {bounds}")
    return found


def _values(key: str, value: Any, where: str) -> list[str]:
    """A list's elements, one value, or those of a string in Hydra's syntax such as `elman,lstm`."""
    found = [parse(key, item, where) for item in (value if isinstance(value, list) else [value])]
    if any(override.is_interval_sweep() for override in found):
        raise ConfigError(f"{where}.{key} = {shown(value)}: an interval stands alone, under sweep.search: it is tuned")
    if not found:
        raise ConfigError(f"{where}.{key} = []: leaves no arm; give at least one value")
    return [text for override in found for text in spelled(override)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else Transformer.str(value)
