"""Making a plan from an experiment and a command line; every arm is composed and checked before anything runs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from study import schema
from study.command.arguments import BUDGETS
from study.errors import ConfigError, nearest
from study.schema.sweep import SweepConfig
from study.sweep.planning.composer import Composer, exists
from study.sweep.planning.fingerprint import define, digest
from study.sweep.planning.grammar import MOST, NAME, Dimension, Grid, dimension, grids, space, spelled
from study.sweep.planning.plan import SEARCH_SEED, Arm, Plan

FIXED = ("slug", "experiment", "sweep", "tracking", "data")
"""Groups and keys with one value for the whole sweep."""
MOST_RUNS = 100_000
"""Of a sweep: its study is read whole at the start of every command."""


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
            seeds = _seeds(override)
        elif override.is_interval_sweep():
            search[key] = dimension(override)
            tables = [{k: v for k, v in grid.items() if k != key} for grid in tables]
        elif key in BUDGETS and spelled(override) == ["null"]:
            tables = [{k: v for k, v in grid.items() if k != key} for grid in tables]  # another budget was typed
            fixed.append(override.input_line or "")
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
    _refuse_endless(tables)
    plan = Plan(fixed, _arms(tables, search, composer), search, sweep.trials, seeds, sweep.search_seeds)
    if plan.runs > MOST_RUNS:
        raise ConfigError(f"the sweep has {plan.runs:,} runs: at most {MOST_RUNS:,}, of fewer arms, seeds or trials")
    _check_space(plan, composer)
    return plan


def _refuse_endless(tables: Sequence[Grid]) -> None:
    """Refuse more arms than can be checked, before any is made."""
    sizes = [math.prod(len(values) for key, values in grid.items() if key != NAME) for grid in tables]
    if (arms := sum(sizes)) > MOST:
        raise ConfigError(f"sweep.arms: {arms:,} combinations of values; at most {MOST:,} arms are compared")


def _seeds(override: Override) -> list[int]:
    """The seeds that were typed, each once."""
    texts = [override.get_value_string()] if override.is_interval_sweep() else spelled(override)
    for text in texts:
        if not re.fullmatch(r"[+-]?\d+", text):
            raise ConfigError(f"seed = {text!r}: a whole number is needed")
    return [*dict.fromkeys(map(int, texts))]


def _refuse_to_sweep(key: str, seeds_too: bool = False) -> None:
    if key.lstrip("+~").partition(".")[0] in FIXED:
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
    groups = composer.groups
    chosen = [d for key, d in plan.search.items() if key in groups]
    valued = [d for key, d in plan.search.items() if key not in groups]
    unused = {d.key for d in valued}
    for arm in plan.arms.values():
        if (found := math.prod(len(d.choices) for d in chosen)) > MOST:
            raise ConfigError(f"sweep.search: {found:,} combinations of options; at most {MOST:,} are tuned over")
        for options in product(*([f"{d.key}={choice}" for choice in d.choices] for d in chosen)):
            own = [*arm.overrides, *options]
            if options:  # an arm as it stands is checked already
                composer.check(own)
            composed = composer.compose(own) if valued else DictConfig({})
            for tuned in (d for d in valued if exists(composed, d.key)):
                unused.discard(tuned.key)
                for corner in tuned.corners:
                    composer.check([*own, f"{tuned.key}={corner}"])
    for key in unused:
        known = set(schema.keys())
        hint = "" if key in known else nearest(key, known)
        raise ConfigError(f"sweep.search.{key}: no arm has such a key{hint}")
