"""A configuration as the tracking store keeps it, in plain values. No MLflow here."""

from dataclasses import dataclass
from typing import Any

from study.schema import Config
from study.schema.arm_names import name_alone, name_run
from study.schema.identity import flat_record, nested_record


@dataclass(frozen=True)
class Description:
    """What a run is, in plain values.

    Attributes:
        uri: of the store.
        slug: of the experiment.
        name: of a run that stands beside no other.
        tags: the choices that runs are filtered by in MLflow's table.
        parameters: the same as `config`, flat, as texts.
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
    tags = {
        "task": config.task.name,
        "family": config.task.family,
        "model": config.model.title,
        "loss": config.loss.name,
        **config.bptt.tags,
        "clip": config.clip.name,
        "seed": config.seed,
    }
    chosen = {"model.name": config.model.title, "clip.name": config.clip.name, "task.name": config.task.name}
    return Description(
        uri=config.tracking.uri,
        slug=config.slug,
        name=name_run(name_alone(chosen), config.seed),
        tags={key: str(value) for key, value in tags.items()},
        parameters=flat_record(config),
        config=nested_record(config),
    )
