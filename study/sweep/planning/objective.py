"""The measure that a search tunes for, and its direction."""

from study.errors import ConfigError, nearest
from study.schema import Config
from study.schema.sweep import SweepConfig
from study.standing import Direction
from study.sweep.planning.plan import Plan


def find_direction(sweep: SweepConfig, plan: Plan) -> Direction:
    """The direction of `sweep.objective`, else of the measure that ranks runs of the task.

    Raises:
        ConfigError: tasks of one search have different directions, or a task has no such measure.
    """
    by_name = {arm.config.task.name: arm.config for arm in plan.arms.values()}
    if sweep.tuned_for is not None:
        direction, measure = sweep.tuned_for
        for config in by_name.values():
            _refuse_unknown(measure, config)
        return "minimize" if direction == "minimize" else "maximize"
    found = {name: config.task.direction for name, config in by_name.items()}
    if plan.search and len(set(found.values())) > 1:
        listed = ", ".join(f"{task}: {direction}" for task, direction in found.items())
        raise ConfigError(f"sweep.search: one search cannot serve tasks of both directions ({listed}); make two sweeps")
    return next(iter(found.values()))


def _refuse_unknown(measure: str, config: Config) -> None:
    """Refuse a measure that the task does not take of its baseline either."""
    from study import tasks  # late: torch takes seconds

    task = tasks.build(config.task, config.data, config.seed)
    known = [f"{name}/val" for name in ("loss", *task.baseline_metrics("val"))]
    if measure not in known:
        hint = nearest(measure, known)
        raise ConfigError(
            f"sweep.objective = {measure!r}: task={config.task.name} has no such measure{hint} "
            f"(allowed: {', '.join(known)})"
        )
