"""The plan of a sweep: its arms and cells. No torch here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from study.schema import Config
from study.schema.arm_names import name_run, name_within_tasks, put_tasks_before
from study.schema.budget import Reading, compare_readings, planned_reading
from study.schema.identity import deciding
from study.schema.own import pins
from study.sweep.planning.grammar import Dimension
from study.tracking import plain

Phase = Literal["grid", "search", "confirm"]

SEARCH_SEED = 1000
"""Seed of all search trials, so that `sweep.seeds` are fresh when the winners are confirmed."""


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
        former: labels that it had when earlier commands made runs of it.
    """

    title: str
    values: Mapping[str, str]
    digest: str
    definition: Mapping[str, str]
    config: Config
    twins: tuple[str, ...] = ()
    former: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its title, or all its values."""
        return self.title or " ".join(self.overrides)

    @property
    def overrides(self) -> list[str]:
        """Its values as on a command line."""
        return [f"{key}={value}" for key, value in self.values.items()]

    @property
    def budget(self) -> str:
        """What each of its runs reads; where that is not known, its budget."""
        return str(planned_reading(self.config)) or self.config.trainer.budget


@dataclass(frozen=True)
class PlannedCell:
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

    @cached_property
    def names(self) -> dict[str, str]:
        """A short name of every arm by digest, with its task where the plan has several."""
        return put_tasks_before(self.names_within_tasks, {key: arm.config.task.name for key, arm in self.arms.items()})

    @cached_property
    def names_within_tasks(self) -> dict[str, str]:
        """Its title, or as few values as set the arms of its task apart."""
        titles = {digest: arm.title for digest, arm in self.arms.items() if arm.title}
        return name_within_tasks({digest: deciding(arm.config) for digest, arm in self.arms.items()}, titles)

    def name(self, cell: PlannedCell, seed: int | None = None) -> str:
        """The name of a run: one of the seeds of its cell, where that has several."""
        if cell.phase != "search":
            return name_run(self.names[cell.arm], cell.seed)
        return name_run(self.names[cell.arm], seed if self.search_seeds > 1 else None, cell.number)

    def cells(self) -> Iterator[PlannedCell]:
        """The cells known from the start: all of a grid, the trials of a search; arms take turns."""
        if self.search:
            yield from (PlannedCell(arm, "search", SEARCH_SEED, n) for n in range(self.trials) for arm in self.arms)
        else:
            yield from (PlannedCell(arm, "grid", seed) for seed in self.seeds for arm in self.arms)

    def confirmation(self, arm: str, winner: int) -> Iterator[PlannedCell]:
        """The cells that train the winner of an arm's search once on every seed."""
        yield from (PlannedCell(arm, "confirm", seed, winner) for seed in self.seeds)

    def __contains__(self, cell: PlannedCell) -> bool:
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

    def seeds_of(self, cell: PlannedCell) -> list[int]:
        """The seeds that a cell is trained with."""
        return [cell.seed + n for n in range(self.search_seeds if cell.phase == "search" else 1)]

    @property
    def record(self) -> dict[str, Any]:
        """The plan in plain values; every arm with the budget of each of its runs."""
        arms = {self.names[key]: arm for key, arm in self.arms.items()}
        parts = {
            "fixed": self.fixed,
            "arms": {name: {**arm.values, "budget": arm.budget} for name, arm in arms.items()},
            "twins": {name: list(arm.twins) for name, arm in arms.items() if arm.twins},
            "former": {name: list(arm.former) for name, arm in arms.items() if arm.former},
            "search": {key: dimension.words for key, dimension in self.search.items()},
            "trials": self.trials if self.search else None,
            "search_seeds": self.search_seeds if self.search and self.search_seeds > 1 else None,
            "seeds": self.seeds,
            "runs": self.runs,
        }
        return {key: part for key, part in parts.items() if part not in ({}, None)}

    def describe(self) -> str:
        """The same as YAML."""
        return plain.write(self.record)

    def describe_twins(self) -> list[str]:
        """A sentence for every arm that the experiment lists again in other words."""
        quoted = [[f"'{label}'" for label in (arm.label, *arm.twins)] for arm in self.arms.values() if arm.twins]
        return [f"{' and '.join(labels)} would train the same runs: they are one arm." for labels in quoted]

    def describe_readings(self) -> list[str]:
        """A sentence for every task whose arms read unequal amounts."""
        by_task: dict[str, dict[str, Reading]] = {}
        for digest, name in self.names.items():
            config = self.arms[digest].config
            by_task.setdefault(config.task.name, {})[name] = planned_reading(config)
        found = {task: compare_readings(readings) for task, readings in by_task.items()}
        return [f"{task}: {sentence}" for task, sentence in found.items() if sentence]

    def overrides(self, cell: PlannedCell) -> list[str]:
        """What a cell sets beside `fixed`, but for tuned keys; files changed since the plan was made are refused."""
        arm = self.arms[cell.arm]
        drawn = {key.removesuffix(".file") for key in self.search}
        pinned = [override for group, override in pins(arm.config).items() if group not in drawn]
        return [*arm.overrides, *pinned, f"seed={cell.seed}"]
