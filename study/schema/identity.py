"""Which runs are the same run: the keys of a configuration that decide the bits of its training, in one form.

Each key is marked where it is declared (`study.schema.base.Decides`). Two runs whose `deciding` keys and seed are equal
train the same bits, on one processor by one kernel. So they belong to one arm: in the plan of a sweep, in its Optuna
study, and in its report.

A record is a configuration as a run keeps it. It exists nested (`definition/config.yaml`) and flat, as texts by dotted
key (the parameters in MLflow, the arms in Optuna), and may be of an older version: a key that was added since has the
value that `conf/` gives it.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from study.schema import Config, keys
from study.schema.base import Decides, Strict, group_classes, option_names
from study.schema.defaults import defaults


@cache
def mark(key: str) -> Decides | None:
    """The mark of a dotted key: its own, or that of the nearest group around it; unknown keys too have one so."""
    found: Decides | None = None
    classes: list[type[Strict]] = [Config]
    for part in key.split("."):
        fields = [group.model_fields[part] for group in classes if part in group.model_fields]
        found = next((m for field in fields for m in field.metadata if isinstance(m, Decides)), found)
        classes = [group for field in fields for group in group_classes(field.annotation)]
    return found


def marked(*marks: Decides) -> tuple[str, ...]:
    """The groups and keys that have one of some marks; what lies in such a group is not listed again."""
    found = dict.fromkeys(key for key in keys() if mark(key) in marks)
    return tuple(key for key in found if key.rpartition(".")[0] not in found)


def decides_training(key: str) -> bool:
    """Whether runs that differ in a dotted key belong to different arms."""
    return mark(key) in (None, Decides.DATA)


def portable(overrides: Iterable[str]) -> list[str]:
    """Overrides that say which run it is, without those that say where things lie on this machine or what is shown."""
    keys = {text: text.lstrip("+~").partition("=")[0] for text in overrides}
    return [text for text, key in keys.items() if key != "tracking" and mark(key) is not Decides.HERE]


def flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted key."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nested_record(config: Config) -> dict[str, Any]:
    """A configuration without what is of this machine alone, nested."""
    return _without(Decides.HERE, config.model_dump())


def flat_record(config: Config) -> dict[str, str]:
    """The same as texts by dotted key."""
    return _texts(nested_record(config))


def deciding(record: Config | Mapping[str, str]) -> dict[str, str]:
    """The keys that decide the training but the seed, in canonical form: equal for runs of one arm, and for no others.

    Args:
        record: a configuration, or a flat record, of this version or an older one. Keys of it that the schema does not
            know are taken to decide.
    """
    flat = flat_record(record) if isinstance(record, Config) else record
    chosen = {key.removesuffix(".name"): value for key, value in flat.items() if key.endswith(".name")}
    whole = {**flat, **{key: value for key, value in _default_texts(**chosen).items() if key not in flat}}
    return _canonical({key: value for key, value in whole.items() if decides_training(key)})


@cache
def _default_texts(**chosen: str) -> dict[str, str]:
    return _texts(defaults(chosen))


def _texts(node: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in flatten(node)}


def _canonical(flat: dict[str, str]) -> dict[str, str]:
    """The whole, then every group, in the canonical form of its config class."""
    flat = Config.canonical(flat)
    found = dict(flat)
    for group in Config.model_fields:
        own = {key.removeprefix(f"{group}."): value for key, value in flat.items() if key.startswith(f"{group}.")}
        canonical = config_class(group, own.get("name")).canonical(own) if own else own
        for key in own.keys() - canonical.keys():
            del found[f"{group}.{key}"]
        found |= {f"{group}.{key}": value for key, value in canonical.items()}
    return found


def config_class(group: str, name: str | None) -> type[Strict]:
    """That of an option; the common one of a group without options, or of an option that is gone."""
    classes = list(group_classes(Config.model_fields[group].annotation))
    common = classes[0] if len(classes) == 1 else Strict
    return next((found for found in classes if name in option_names(found)), common)


def _without(unwanted: Decides, node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    kept = {key: value for key, value in node.items() if mark(prefix + key) is not unwanted}
    return {
        key: _without(unwanted, value, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in kept.items()
    }
