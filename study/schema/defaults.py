"""What `conf/` gives a key that nobody sets, read without Hydra: a running Hydra application is not disturbed."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from study.installation import CONF

BEFORE: dict[str, Any] = {"probe.start": False, "model.kernel": "torch"}
"""Keys that came later and do not count as what `conf/` gives them in records made before: those runs did otherwise."""


@cache
def options(group: str) -> tuple[str, ...]:
    """Names of the options of a config group."""
    return tuple(sorted(path.stem for path in (CONF / group).glob("*.yaml")))


def option(group: str, name: str) -> dict[str, Any]:
    """The values of an option, such as `model`, `lstm`; none where there is no such option."""
    if name not in options(group):
        return {}
    return _plain(_load(group, name))


def listed(group: str) -> dict[str, Any]:
    """The values of the option of a group that `train.yaml` lists."""
    return option(group, _listed()[group])


@cache
def parts(group: str, name: str) -> frozenset[str]:
    """The keys at the top of a configuration that an option of `conf/` decides; none where there is no such option.

    A task decides `loss` too: its defaults list overrides that group.
    """
    if group not in _listed() or name not in options(group):
        return frozenset()
    found = {group}
    for entry in _read(group, name).get("defaults", []):
        if isinstance(entry, str):
            found |= parts(group, entry)
        else:
            found |= {str(key).removeprefix("override ").lstrip("/").partition("@")[0] for key in entry}
    return frozenset(found)


def defaults(chosen: Mapping[str, str]) -> dict[str, Any]:
    """The values of all groups.

    Args:
        chosen: options by group, such as `{"model": "lstm"}`; of other groups the one that `train.yaml` lists.
    """
    groups = {group: option(group, chosen.get(group, listed)) for group, listed in _listed().items()}
    return groups | _plain(OmegaConf.masked_copy(_train(), ["slug", "seed"]))


def fill(record: dict[str, Any]) -> dict[str, Any]:
    """Put into the nested `record` of a run the keys it lacks, as its options have them; return them by dotted key."""
    known = defaults(chosen(record))
    for key, value in BEFORE.items():
        group, _, name = key.partition(".")
        if name in known[group]:
            known[group][name] = value
    return dict(fill_from(record, known))


def chosen(record: Mapping[str, Any]) -> dict[str, str]:
    """The option of every group that has a `name` in a nested record."""
    return {group: str(node["name"]) for group, node in record.items() if isinstance(node, Mapping) and "name" in node}


def fill_from(record: dict[str, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Put into `record` the keys that only `known` has; yield them."""
    for key, value in known.items():
        if key not in record:
            record[key] = value
            yield prefix + key, value
        elif isinstance(value, dict) and isinstance(record[key], dict):
            yield from fill_from(record[key], value, f"{prefix}{key}.")


@cache
def _train() -> DictConfig:
    node = OmegaConf.load(CONF / "train.yaml")
    assert isinstance(node, DictConfig)
    return node


@cache
def _listed() -> dict[str, str]:
    """The option of every group in the defaults list of `train.yaml`; overrides, of Hydra's own groups, left out."""
    entries = [entry for entry in _train()["defaults"] if isinstance(entry, DictConfig)]
    pairs = {str(group): name for entry in entries for group, name in entry.items()}
    return {group: name for group, name in pairs.items() if name is not None and not group.startswith("override ")}


@cache
def _load(group: str, name: str) -> DictConfig:
    """An option on top of the options of its group that its defaults list names."""
    node = _read(group, name)
    bases = [entry for entry in node.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    merged = OmegaConf.merge(*(_load(group, base) for base in bases), node)
    assert isinstance(merged, DictConfig)
    return merged


def _read(group: str, name: str) -> DictConfig:
    node = OmegaConf.load(CONF / group / f"{name}.yaml")
    assert isinstance(node, DictConfig)
    return node


def _plain(node: DictConfig) -> dict[str, Any]:
    """New plain values; what looks up the environment stays as it is written."""
    values = OmegaConf.to_container(node)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}
