"""A logged configuration is input from elsewhere: refused where it reaches out, completed where it is old.

No torch here, and nothing in it is ever called or resolved: it becomes a `study.schema.Config` or a message. What is
built from that comes from the project's own registries.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from study.command import CONF, explain
from study.errors import ConfigError, nearest
from study.schema import Config, validate

CONFIG = "definition/config.yaml"
"""Where a run keeps it, among its artifacts."""

LARGEST = 100_000
"""Bytes of a logged configuration; real ones have some 2,000."""

HERE = ("data", "tracking.uri", "sweep", "trainer.progress_bar")
"""Where things lie and what is shown, which decides no number: as here and now, whatever was logged."""
PLACES = (*HERE, "task.path")
"""What may be given without making the run another one; the digest of the data is compared in any case."""


class Restored(NamedTuple):
    """A logged configuration as the schema of today has it.

    Attributes:
        config: checked.
        filled: keys the schema gained since, with the values of `conf/` they were given.
        overrides: given on top.
        varied: whether they make it another run.
    """

    config: Config
    filled: dict[str, Any]
    overrides: tuple[str, ...]
    varied: bool


def restore(text: bytes, store: str, overrides: Sequence[str] = ()) -> Restored:
    """The configuration of a logged run.

    What a run is does not depend on the sweep it was part of, nor on where its data and the store lie: `HERE`.

    Args:
        text: of the run's `config.yaml`.
        store: where the new run goes.
        overrides: in Hydra's syntax; those of more than `PLACES` make a variation.

    Raises:
        ConfigError: naming the key that cannot be used.
    """
    logged, given = parse(text), _given(overrides)
    kept = {key: value for key, value in logged.items() if key not in (*HERE, *given)}  # whole groups chosen anew
    composed = _compose([*_options(kept), *overrides])
    composed["tracking"]["uri"] = store
    filled = dict(_fill(kept, {key: value for key, value in composed.items() if key in Config.model_fields}))
    filled |= _fill_measures(kept["probe"], _compose(["probe=full"])["probe"])
    for path in (key.split(".") for key in (*HERE, *given)):
        if len(path) == 1 or isinstance(kept.get(path[0], {}), dict):  # else it is for the schema to refuse
            _put(kept, path, composed)
    told = {key: value for key, value in filled.items() if not _within(key, (*HERE, *given))}
    varied = any(not _within(key, PLACES) for key in given)
    return Restored(validate(kept), told, tuple(overrides), varied)


def parse(text: bytes) -> dict[str, Any]:
    """Plain values from YAML, nothing resolved.

    Raises:
        ConfigError: it is not a mapping of plain values, or a value would be looked up or called.
    """
    if len(text) > LARGEST:
        raise ConfigError(f"config.yaml has {len(text)} bytes: no configuration is that long")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ConfigError("config.yaml: aliases are refused, a few lines of them can fill the memory")
        node = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also numbers and nesting without end
        raise ConfigError(f"config.yaml is not plain YAML: {error}") from error
    if not isinstance(node, dict):
        raise ConfigError("config.yaml: a mapping is needed")
    _refuse(node, "")
    return node


def _refuse(node: Any, path: str) -> None:
    """Stop at whatever a configuration library would call or look up."""
    if isinstance(node, dict):
        for key, value in node.items():
            here = f"{path}.{key}".lstrip(".")
            if not isinstance(key, str) or (key.startswith("_") and key.endswith("_")):
                raise ConfigError(f"{here} = {value!r}: refused, a logged configuration may not name what to call")
            _refuse(value, here)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            _refuse(value, f"{path}.{i}")
    elif isinstance(node, str) and "${" in node:
        raise ConfigError(f"{path} = {node!r}: refused, a logged configuration may not look values up")


def _given(overrides: Sequence[str]) -> list[str]:
    """The keys of overrides; all of them are keys of a run."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(str(error)) from error
    for override in parsed:
        if (root := override.key_or_group.partition(".")[0]) not in Config.model_fields:
            raise ConfigError(f"{override.input_line}: a run has no {root!r}{nearest(root, Config.model_fields)}")
        if override.key_or_group in ("tracking", "tracking.uri"):
            raise ConfigError(f"{override.input_line}: the new run goes where the old one lies; --store says where")
    return [override.key_or_group for override in parsed]


def _options(logged: dict[str, Any]) -> Iterator[str]:
    """The options of config groups that a run was made with, as overrides."""
    for group, node in logged.items():
        name = node.get("name") if isinstance(node, dict) else None
        if name is not None and group in Config.model_fields:
            options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
            if name not in options:
                raise ConfigError(f"{group}.name = {name!r}: no such option (allowed: {', '.join(options)})")
            yield f"{group}={name}"


def _compose(overrides: Sequence[str]) -> dict[str, Any]:
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composed = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    except HydraException as error:
        raise ConfigError(explain(error)) from error
    assert isinstance(composed, dict)
    return {str(key): value for key, value in composed.items()}


def _fill(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Put into `old` the keys that only `new` has; yield them."""
    for key, value in new.items():
        if key not in old:
            old[key] = value
            yield prefix + key, value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            yield from _fill(old[key], value, f"{prefix}{key}.")


def _fill_measures(old: Any, known: dict[str, Any]) -> dict[str, Any]:
    """The same for measures that are off by default, so that only `conf/probe/full.yaml` has their keys."""
    asked = [name for name, plan in old.items() if isinstance(plan, dict)] if isinstance(old, dict) else []
    found = {name: dict(_fill(old[name], known[name], f"probe.{name}.")) for name in asked if name in known}
    return {key: value for keys in found.values() for key, value in keys.items()}


def _within(key: str, roots: Sequence[str]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def _put(config: dict[str, Any], path: Sequence[str], source: dict[str, Any]) -> None:
    """Give the key at `path` the value it has in `source`; what lies on the way is there, or is put there whole."""
    first, *rest = path
    if rest and isinstance(config.get(first), dict):
        _put(config[first], rest, source[first])
    else:
        config[first] = source[first]
