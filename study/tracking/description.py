"""A configuration as the tracking store keeps it, in plain values. No MLflow here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from study.schema import Config


@dataclass(frozen=True)
class Description:
    """What a run is, in plain values.

    Attributes:
        uri: of the store.
        slug: of the experiment.
        name: model-task-seed.
        tags: the choices that runs are filtered by in MLflow's table.
        parameters: every key of the run with its value, flat; the plan of a sweep is not the run's.
        config: every key that defines the run, nested. Where data and runs lie, and the sweep around it, are left out:
            they are this machine's, and may hold passwords.
    """

    uri: str
    slug: str
    name: str
    tags: dict[str, str]
    parameters: dict[str, str]
    config: dict[str, Any]


def describe(config: Config) -> Description:
    """Turn a checked configuration into plain values."""
    values, k2 = config.model_dump(), config.bptt.k2 or "full"
    tags = {
        "task": config.task.name,
        "family": config.task.family,
        "model": config.model.name,
        "loss": config.loss.name,
        "k1": config.bptt.k1 or k2,
        "k2": k2,
        "clip": config.clip.name,
        "seed": config.seed,
    }
    return Description(
        uri=config.tracking.uri,
        slug=config.slug,
        name=f"{config.model.name}-{config.task.name}-{config.seed}",
        tags={key: str(value) for key, value in tags.items()},
        parameters={key: str(value) for key, value in _flatten(values) if not key.startswith("sweep.")},
        config=config.model_dump(exclude={"data": True, "tracking": {"uri"}, "sweep": True}),
    )


def _flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
