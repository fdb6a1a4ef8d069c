"""What a study's statistics can show and how often they are wrong: `python -m study.bench.power`, some minutes."""

import argparse
from collections.abc import Callable, Iterator

import numpy as np

from study.report.data.differences import Differences, power_alone, seeds_for, smallest
from study.report.data.levels import level_intervals

DESIGNS = ((3, 3), (6, 3), (6, 5), (12, 3))
"""Arms, seeds."""
SIZE = 4.0
"""A true difference, in standard deviations of one run's scatter."""
SEEDS_DIFFER = 5.0
"""How much seeds differ whichever the arm, in the same unit."""

Scatter = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def _times(factor: float, loud: Callable[[int], int]) -> Scatter:
    """Normal scatter, that of some arms so many times the others'."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        deviations = np.where(np.arange(shape[0]) >= shape[0] - loud(shape[0]), factor, 1.0)
        return rng.normal(size=shape) * deviations[:, None]

    return draw


def _failing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Runs of which three in ten fail outright, at 20 standard deviations from the others."""
    return rng.normal(size=shape) + 20 * (rng.random(shape) < 0.3)


SCATTERS: dict[str, Scatter] = {
    "equal": _times(1.0, lambda arms: 0),
    "one arm x 3": _times(3.0, lambda arms: 1),
    "one arm x 10": _times(10.0, lambda arms: 1),
    "half of the arms x 3": _times(3.0, lambda arms: arms // 2),
    "3 of 10 runs fail outright": _failing,
}
"""How runs of arms with the same mean scatter."""


def studies(arms: int, seeds: int, scatter: Scatter, number: int, size: float = 0.0) -> Iterator[Differences]:
    """Simulated studies; the first arm lies `size` above the others."""
    rng = np.random.default_rng(0)
    for _ in range(number):
        values = scatter(rng, (arms, seeds)) + rng.normal(0, SEEDS_DIFFER, (1, seeds))
        values[0] += size
        yield Differences(values)


def finds_any(study: Differences) -> bool:
    """Whether a study calls any difference shown; where arms share their scatter the largest one tells."""
    order = [int(row) for row in study.values.mean(axis=1).argsort()]
    pairs = [(order[-1], order[0])] if study.pooled else [(i, j) for i in order for j in order if i < j]
    return any(study.between(*pair).excludes(0.0) for pair in pairs)


def false_alarms(arms: int, seeds: int, scatter: Scatter, number: int) -> float:
    """How many of the studies of arms with the same mean call a difference shown."""
    return sum(map(finds_any, studies(arms, seeds, scatter, number))) / number


def shown(arms: int, seeds: int, number: int, size: float = SIZE) -> float:
    """How many studies show a difference of `size`, arms scattering alike."""
    found = studies(arms, seeds, SCATTERS["equal"], number, size)
    return sum(study.between(0, 1).excludes(0.0) for study in found) / number


def differing(arms: int, seeds: int, shift: float, number: int, size: float = 0.0) -> float:
    """How many studies say that an arm differs from an opponent's number, `size` away; with 0, of arms all at it: any.

    Args:
        arms: compared.
        seeds: of each.
        shift: what seeds do to all arms alike, in standard deviations of the rest.
        number: of studies.
        size: of the first arm's distance.
    """
    rng, asked, found = np.random.default_rng(0), 1 if size else arms, 0
    for _ in range(number):
        gaps = rng.normal(size=(arms, seeds)) + rng.normal(0, shift, (1, seeds))
        gaps[0] += size
        found += any(interval.excludes(0.0) for interval in level_intervals(gaps)[:asked])
    return found / number


def main(number: int) -> None:
    """Print the tables of `study.report.data.differences` and `study.report.data.levels`."""
    heads = [f"{arms} arms, {seeds} seeds" for arms, seeds in DESIGNS]
    print(f"Studies that call a difference shown where there is none, of {number} each (nominal: 5%)\n")
    print("scatter of the arms         ", *(f"{head:>16}" for head in heads))
    for name, scatter in SCATTERS.items():
        print(f"{name:28}", *(f"{false_alarms(*design, scatter, number):16.1%}" for design in DESIGNS), flush=True)
    print(f"\nA true difference of {SIZE:.0f} standard deviations is shown in\n")
    print(f"{'blocked, Tukey':28}", *(f"{shown(*design, number):16.1%}" for design in DESIGNS))
    print(f"{'each pair alone, Bonferroni':28}", *(f"{power_alone(SIZE, *design):16.1%}" for design in DESIGNS))
    print("\nShown in 80% of studies\n")
    sizes = (smallest(arms, (arms - 1) * (seeds - 1), seeds) for arms, seeds in DESIGNS)
    print(f"{'a difference of, in sd':28}", *(f"{size:16.2f}" for size in sizes))
    for size in (1.0, 2.0):
        print(
            f"{f'one of {size:.0f} sd, from seeds':28}",
            *(f"{seeds_for(size, arms, True):16.0f}" for arms, _ in DESIGNS),
        )
    print("\nAgainst a number without scatter, such as an opponent's; seeds shift all arms by so many deviations\n")
    for shift in (0.0, 1.0, 5.0):
        cells = (f"{differing(*design, shift, number):16.1%}" for design in DESIGNS)
        print(f"{f'none differs, shift {shift:.0f}':28}", *cells, flush=True)
    cells = (f"{differing(*design, 0.5, number, SIZE):16.1%}" for design in DESIGNS)
    print(f"{f'{SIZE:.0f} away is shown in':28}", *cells)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=4000, help="simulated studies a number")
    main(parser.parse_args().studies)
