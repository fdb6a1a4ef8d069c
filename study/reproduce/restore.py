"""From the logged configuration of a run to a checked one of today. No torch here.

A logged configuration is untrusted input: nothing in it is called or resolved, and what would be is refused. Keys that
it lacks, because they were added since, get their defaults.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from study.command.arguments import BUDGETS, opened, settled
from study.command.messages import explained
from study.errors import ConfigError, nearest
from study.installation import CONF
from study.reproduce.trust import FLAG, Code, logged_code, no_code
from study.schema import Config, validate
from study.schema.base import Decides
from study.schema.defaults import fill, fill_from, option, options
from study.schema.identity import config_class, marked
from study.schema.own import OwnFile
from study.tracking import plain

if TYPE_CHECKING:
    from study.tracking.reader import Logged

CONFIG = "definition/config.yaml"
"""Where a run keeps it, among its artifacts."""

MACHINE = marked(Decides.HERE)
"""Taken from here and now, whatever was logged."""
PLACES = marked(Decides.HERE, Decides.DATA)
"""What may be given and leaves the run the same run; the digest of its data is compared in any case."""


class Restored(NamedTuple):
    """The configuration of a logged run, checked by the schema of today.

    Attributes:
        config: checked.
        filled: keys that the log lacks, by dotted key, with the defaults they got.
        overrides: given on top.
        varied: whether the overrides make it another run.
        given: the keys of the overrides.
        folder: where code that was logged with the run may be put; None: it is not trusted.
    """

    config: Config
    filled: dict[str, Any]
    overrides: tuple[str, ...]
    varied: bool
    given: tuple[str, ...] = ()
    folder: Path | None = None


def restore(text: bytes, store: str, overrides: Sequence[str] = (), code: Code = no_code) -> Restored:
    """Read the configuration of a logged run.

    Args:
        text: of the run's `config.yaml`.
        store: where the new run goes.
        overrides: in Hydra's syntax; keys other than `PLACES` make a variation.
        code: finds the code that the run needs beside this project's.

    Raises:
        ConfigError: naming the key that cannot be used.
    """
    logged = parse(text)
    trainer = logged.get("trainer")
    known = {key: trainer.get(key.partition(".")[2]) for key in BUDGETS} if isinstance(trainer, dict) else {}
    given = _given(overrides := settled(overrides, known))
    replaced = (*MACHINE, *given)
    kept = {key: value for key, value in logged.items() if key not in replaced}  # whole groups chosen anew
    composed = _compose([*_options(kept), *overrides])
    composed["tracking"]["uri"] = store
    filled = fill(kept) | _fill_measures(kept["probe"])
    if needed := {group: node for group, node in kept.items() if _needs_code(group, node, replaced)}:
        for group, file in code(needed).items():
            kept[group]["file"] = file
    for path in (key.split(".") for key in replaced):
        if len(path) == 1 or isinstance(kept.get(path[0], {}), dict):  # else it is for the schema to refuse
            _put(kept, path, composed)
    added = {key: value for key, value in filled.items() if not _within(key, replaced)}
    varied = any(not _within(key, PLACES) for key in given)
    return Restored(validate(kept), added, tuple(overrides), varied, tuple(given))


def restore_run(run: "Logged", folder: Path | None, overrides: Sequence[str] = ()) -> Restored:
    """Read the configuration of a logged run, to train it again here.

    Args:
        run: the run.
        folder: where code that was logged with the run is put, to be executed from there; see `trust.code_folder`.
        overrides: see `restore`.

    Raises:
        ConfigError: it cannot be used, or the run was trained by a rule that this version does not have.
        Untrusted: it needs code that was logged with it, and there is no folder.
    """
    restored = restore(_text(run), run.uri, overrides, logged_code(run, folder))
    if folder is None and "trainer.callbacks" not in restored.given and (named := restored.config.trainer.callbacks):
        raise ConfigError(
            f"run {run.run_id} was trained with trainer.callbacks = {named}: executed, they can do here whatever you "
            f"can; add {FLAG} if you know them, or trainer.callbacks=[] to leave them out"
        )
    task, bptt = restored.config.task, restored.config.bptt
    steps = task.sequence_steps(task.model_dump())
    if not restored.varied and bptt.changed_since(run.tags.get("bptt_rule", "1"), steps, task.stream):
        settings = ", ".join(f"bptt.{key} = {value}" for key, value in (bptt.stride, bptt.reach))
        raise ConfigError(
            f"{settings}: run {run.run_id} was trained by an older rule of windows that "
            f"reached back less, so its numbers cannot come out of this version. The commit it was made with has that "
            f"rule: {run.tags.get('git_commit', 'not recorded')}"
        )
    return restored._replace(folder=folder)


def _text(run: "Logged") -> bytes:
    """The logged configuration.

    Raises:
        ConfigError: it is not there, or cannot be read.
    """
    try:
        return run.read(CONFIG)
    except ConfigError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise ConfigError(
            f"{error}\nThe run was killed before that was written, or its files were moved or lost; the command that "
            "started it makes it again, in a sweep once the run is deleted in MLflow"
        ) from error


def parse(text: bytes, name: str = "config.yaml") -> dict[str, Any]:
    """Read plain values from YAML, resolving nothing.

    Raises:
        ConfigError: the text is not a mapping of plain values, or names something to look up or to call.
    """
    node = plain.read(text, name)
    _refuse(node, "")
    return node


def _refuse(node: Any, path: str) -> None:
    """Refuse whatever a configuration library would call or look up."""
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
    """The keys of overrides.

    Raises:
        ConfigError: an override is not of a run's configuration, or says where the new run goes.
    """
    with explained():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
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
            if name not in (known := options(group)):
                raise ConfigError(f"{group}.name = {name!r}: no such option (allowed: {', '.join(known)})")
            yield f"{group}={name}"


def _compose(overrides: Sequence[str]) -> dict[str, Any]:
    with explained():
        composed = OmegaConf.to_container(_composed(*map(opened, overrides)), resolve=True)
    assert isinstance(composed, dict)
    return {str(key): value for key, value in composed.items()}


@lru_cache
def _composed(*overrides: str) -> DictConfig:
    """What Hydra composes, unresolved: it takes a fifth of a second, and is the same for most runs of a study."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides])


def _fill_measures(logged: Any) -> dict[str, Any]:
    """Fill the plans of probes that are off by default: only `conf/probe/full.yaml` has their keys."""
    known, asked = option("probe", "full"), logged.items() if isinstance(logged, dict) else ()
    plans = [(name, plan) for name, plan in asked if isinstance(plan, dict) and name in known]
    return dict(pair for name, plan in plans for pair in fill_from(plan, known[name], f"probe.{name}."))


def _needs_code(group: str, node: Any, replaced: Sequence[str]) -> bool:
    """Whether a group names a file of the user's own, and is not given another one."""
    if not isinstance(node, dict) or group in replaced or f"{group}.file" in replaced:
        return False
    return group in Config.model_fields and issubclass(config_class(group, node.get("name")), OwnFile)


def _within(key: str, roots: Sequence[str]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def _put(config: dict[str, Any], path: Sequence[str], source: dict[str, Any]) -> None:
    """Give the key at `path` the value it has in `source`; a group that is missing on the way is copied whole."""
    first, *rest = path
    if rest and isinstance(config.get(first), dict):
        _put(config[first], rest, source[first])
    else:
        config[first] = source[first]
