"""The plan of a sweep: its arms and cells. Every arm is composed and checked before anything runs. No torch here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from omegaconf import OmegaConf

from study import schema
from study.errors import ConfigError, nearest
from study.schema import Config
from study.schema.run import TrainerConfig
from study.schema.sweep import SweepConfig
from study.sweep.planning.composer import Composer, exists
from study.sweep.planning.fingerprint import define, digest
from study.sweep.planning.grammar import NAME, Dimension, Grid, dimension, grids, space, spelled

Phase = Literal["grid", "search", "confirm"]

SEARCH_SEED = 1000
"""Seed of all search trials, so that `sweep.seeds` are fresh when the winners are confirmed."""

FIXED = ("slug", "experiment", "sweep", "tracking", "data")
"""Groups and keys with one value for the whole sweep."""

BUDGETS = tuple(f"trainer.{key}" for key in TrainerConfig.BUDGETS)


@dataclass(frozen=True)
class Arm:
    """One thing compared.

    Attributes:
        title: its name, if the experiment gives one.
        values: what the experiment sets for it, key -> value as on a command line.
        digest: of its definition: arms of the same digest are the same arm, whatever the experiment calls them.
        definition: its configuration as far as it decides numbers, but the seed; see `fingerprint`.
        config: checked.
        twins: labels of further arms of the experiment whose runs would be the same, bit for bit.
    """

    title: str
    values: Mapping[str, str]
    digest: str
    definition: Mapping[str, str]
    config: Config
    twins: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its title, or all its values."""
        return self.title or " ".join(self.overrides)

    @property
    def overrides(self) -> list[str]:
        """Its values as on a command line."""
        return [f"{key}={value}" for key, value in self.values.items()]

    def name(self, keys: Sequence[str]) -> str:
        """A short name: its title, or its values of some keys: of a group the option, else the last part of the key."""
        if self.title:
            return self.title
        parts = [(key.rpartition(".")[2], self.values[key], "." in key) for key in keys if key in self.values]
        named = [f"{last}={value}" if dotted else value for last, value, dotted in parts]
        return " ".join(named) or f"{self.config.model.name} {self.config.task.name}"


@dataclass(frozen=True)
class Cell:
    """One run of the plan: an arm with a seed, or the `number`-th trial of an arm's search.

    A confirmation's `number` is that of the trial which won the search.
    """

    arm: str
    phase: Phase
    seed: int
    number: int = 0

    @property
    def key(self) -> str:
        """Its name in the study: no two trials that count may share it."""
        return f"{self.arm}/{self.phase}/{self.seed}/{self.number}"


@dataclass(frozen=True)
class Plan:
    """The runs that an experiment asks for.

    Attributes:
        fixed: overrides of every run, as typed.
        arms: by digest.
        search: tuned keys; empty: a grid.
        trials: search trials of every arm.
        seeds: of every arm.
        search_seeds: runs of a search trial.
    """

    fixed: list[str]
    arms: dict[str, Arm]
    search: dict[str, Dimension]
    trials: int
    seeds: list[int]
    search_seeds: int = 1

    @property
    def names(self) -> dict[str, str]:
        """A short name of every arm by digest, with as few values as set the arms apart."""
        listed = [arm.values for arm in self.arms.values()]
        needed = list(dict.fromkeys(key for values in listed for key in values))
        for key in reversed(needed):
            others = [other for other in needed if other != key]
            if len({tuple(values.get(other) for other in others) for values in listed}) == len(listed):
                needed = others  # also a rate or threshold that goes with its task
        return {digest: arm.name(needed) for digest, arm in self.arms.items()}

    @property
    def twins(self) -> list[str]:
        """A sentence for every arm that the experiment lists more than once, in other words."""
        pairs = [(arm, " and ".join(f"'{label}'" for label in arm.twins)) for arm in self.arms.values() if arm.twins]
        return [f"'{arm.label}' and {others} would train the same runs: they are one arm." for arm, others in pairs]

    def cells(self) -> Iterator[Cell]:
        """The cells known from the start: all of a grid, the trials of a search; arms take turns."""
        if self.search:
            yield from (Cell(arm, "search", SEARCH_SEED, n) for n in range(self.trials) for arm in self.arms)
        else:
            yield from (Cell(arm, "grid", seed) for seed in self.seeds for arm in self.arms)

    def confirmation(self, arm: str, winner: int) -> Iterator[Cell]:
        """The cells that train the winner of an arm's search once on every seed."""
        yield from (Cell(arm, "confirm", seed, winner) for seed in self.seeds)

    def __contains__(self, cell: Cell) -> bool:
        """Whether the plan asks for a cell; a study may hold the cells of other plans too."""
        wanted = cell.number < self.trials if cell.phase == "search" else cell.seed in self.seeds
        return cell.arm in self.arms and wanted and (cell.phase == "grid") != bool(self.search)

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.arms) * (len(self.seeds) + (self.trials if self.search else 0))

    @property
    def runs(self) -> int:
        """Number of runs: a search trial may have several."""
        return len(self) + (len(self.arms) * self.trials * (self.search_seeds - 1) if self.search else 0)

    def seeds_of(self, cell: Cell) -> list[int]:
        """The seeds that a cell is trained with."""
        return [cell.seed + n for n in range(self.search_seeds if cell.phase == "search" else 1)]

    def describe(self) -> str:
        """The plan as YAML; every arm with the budget of each of its runs."""
        names = self.names
        arms = {names[key]: {**arm.values, "budget": arm.config.trainer.budget} for key, arm in self.arms.items()}
        twins = {names[key]: list(arm.twins) for key, arm in self.arms.items() if arm.twins}
        search = {key: dimension.words for key, dimension in self.search.items()}
        tuned: dict[str, object] = {"search": search, "trials": self.trials} if search else {}
        if search and self.search_seeds > 1:
            tuned["search_seeds"] = self.search_seeds
        counted = {"seeds": self.seeds, "runs": self.runs}
        return OmegaConf.to_yaml({
            "fixed": self.fixed, "arms": arms, **({"twins": twins} if twins else {}), **tuned, **counted
        })  # fmt: skip

    def overrides(self, cell: Cell) -> list[str]:
        """All overrides of a cell but those of tuned keys."""
        return [*self.fixed, *self.arms[cell.arm].overrides, f"seed={cell.seed}"]


def build_plan(sweep: SweepConfig, arguments: Sequence[str], composer: Composer) -> Plan:
    """Plan the `sweep` section of an experiment and what was typed; where both set a key, what was typed counts.

    Raises:
        ConfigError: naming the arm and the key, if an arm or an end of the search space cannot be used.
    """
    tables, search, seeds, fixed = grids(sweep.arms), space(sweep.search), list(sweep.seeds), []
    for key in {key for grid in tables for key in grid} | set(search):
        _refuse_to_sweep(key, seeds_too=True)
    for override in composer.parse(arguments):
        key = override.get_key_element()
        if override.is_sweep_override():
            _refuse_to_sweep(key)
        if key == "seed":
            seeds = [int(text) for text in spelled(override)]
        elif override.is_interval_sweep():
            search[key] = dimension(override)
            tables = [{k: v for k, v in grid.items() if k != key} for grid in tables]
        elif override.is_sweep_override() or any(key in grid for grid in tables):
            search.pop(key, None)
            tables = _chosen(tables, key, spelled(override))
        elif not key.startswith("sweep."):
            search.pop(key, None)
            fixed.append(override.input_line or "")
    _refuse_to_tune_budgets(search)
    searched = range(SEARCH_SEED, SEARCH_SEED + sweep.search_seeds)
    if search and (taken := [seed for seed in seeds if seed in searched]):
        raise ConfigError(f"sweep.seeds: {taken[0]} is a seed of search trials; the winners need fresh ones")
    composer = composer.within(fixed)
    plan = Plan(fixed, _arms(tables, search, composer), search, sweep.trials, seeds, sweep.search_seeds)
    _check_space(plan, composer)
    return plan


def _refuse_to_sweep(key: str, seeds_too: bool = False) -> None:
    if key.partition(".")[0] in FIXED:
        raise ConfigError(f"{key}: has one value for the whole sweep; it can be neither compared nor tuned")
    if key == "seed" and seeds_too:
        raise ConfigError("sweep.arms.seed: every arm gets the same seeds; list them under sweep.seeds")


def _refuse_to_tune_budgets(search: Mapping[str, Dimension]) -> None:
    for key in search:
        if key in BUDGETS:
            raise ConfigError(f"sweep.search.{key}: every trial of a search gets the same budget, it cannot be tuned")


def _chosen(tables: list[Grid], key: str, values: list[str]) -> list[Grid]:
    """The grids with a key as typed: the arms that have one of the values; if none has, all arms with these values."""
    known = {value for grid in tables for value in grid.get(key, [])}
    if not known.issuperset(values):
        return [grid | {key: values} for grid in tables]
    kept = [grid | {key: [v for v in grid[key] if v in values]} for grid in tables if key in grid]
    return [grid for grid in kept if grid[key]]


def _arms(tables: list[Grid], search: dict[str, Dimension], composer: Composer) -> dict[str, Arm]:
    """Every combination of values in every grid as an arm, composed and checked, by digest."""
    arms: dict[str, Arm] = {}
    for grid in tables:
        compared = {key: values for key, values in grid.items() if key != NAME}
        for chosen in product(*compared.values()):
            values = dict(zip(compared, chosen, strict=True))
            config = composer.check([f"{key}={value}" for key, value in values.items()])
            definition = define(config, search)
            arm = Arm(_title(grid, values), values, digest(definition), definition, config)
            arms[arm.digest] = _joined(arms.get(arm.digest, arm), arm)
    return arms


def _joined(first: Arm, arm: Arm) -> Arm:
    """An arm that is listed again; if in other words, those are kept."""
    known = arm.label in (first.label, *first.twins)
    return first if known else replace(first, twins=(*first.twins, arm.label))


def _title(grid: Grid, values: Mapping[str, str]) -> str:
    """The name that a grid gives its arm; where it has several arms, with the values that set them apart."""
    apart = [f"{key.rpartition('.')[2]}={value}" for key, value in values.items() if len(grid[key]) > 1]
    return " ".join([*grid[NAME], *apart]) if NAME in grid else ""


def _check_space(plan: Plan, composer: Composer) -> None:
    """Refuse a tuned key that no arm has, and ends and choices that cannot be used in an arm that has the key."""
    groups = composer.groups()
    chosen = [d for key, d in plan.search.items() if key in groups]
    valued = [d for key, d in plan.search.items() if key not in groups]
    unused = {d.key for d in valued}
    for arm in plan.arms.values():
        for options in product(*([f"{d.key}={choice}" for choice in d.choices] for d in chosen)):
            own = [*arm.overrides, *options]
            composer.check(own)
            for tuned in (d for d in valued if exists(composer.compose(own), d.key)):
                unused.discard(tuned.key)
                for corner in tuned.corners:
                    composer.check([*own, f"{tuned.key}={corner}"])
    for key in unused:
        known = set(schema.keys())
        hint = "" if key in known else nearest(key, known)
        raise ConfigError(f"sweep.search.{key}: no arm has such a key{hint}")
