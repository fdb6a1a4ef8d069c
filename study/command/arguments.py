"""What was typed, as Hydra's grammar takes it: `~`, paths, keys below open ones, one budget."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from study.errors import SHOWN, ConfigError, shown
from study.installation import typed
from study.schema.defaults import listed, option, options
from study.schema.run import TrainerConfig

ADDED = "++"
"""Before a key that Hydra may add."""
BUDGETS = tuple(f"trainer.{key}" for key in TrainerConfig.BUDGETS)
MARKS = re.compile(r"[^\w/.+$%*@?| -]", re.ASCII)
"""What Hydra's grammar does not take as it stands in a value."""
NO_NAME = re.compile(r"null|true|false|[+-]?(\d[\d_]*(\.\d*)?(e[+-]?\d+)?|\.\d+|inf|nan)|\[.*\]", re.I | re.S)
"""Values that are no text, so no option of a group."""
MANY = ("-m", "--multirun")
LONGEST = 10_000
"""Characters of an override: Hydra's grammar takes seconds for a list of so many, and four times as long for twice."""


def prepared(arguments: Sequence[str]) -> list[str]:
    """Everything that was typed, options of Hydra included, as it is handed to Hydra; `-m` comes first."""
    overrides = [opened(_quoted(_expand_home(argument))) for argument in arguments if argument != "experiment=null"]
    refuse_no_option(overrides)
    return sorted(overrides, key=lambda override: override not in MANY)  # amid overrides, argparse ends them there


def refuse_no_option(overrides: Sequence[str]) -> None:
    """Refuse null, a number or a list for the option of a group, and what is too long to be read.

    Raises:
        ConfigError: naming the options that there are, or the limit.
    """
    for override in overrides:
        if len(override) > LONGEST:
            raise ConfigError(f"{shown(override)}: at most {LONGEST:,} characters are read")
        key, value = _key(override), override.partition("=")[2].strip()
        if key and NO_NAME.fullmatch(value) and (known := options(key)):
            hint = "; none does without" if value == "null" and "none" in known else ""
            raise ConfigError(f"{key} = {value[:SHOWN]}: no such option{hint} (allowed: {', '.join(known)})")


def _expand_home(argument: str) -> str:
    """Expand `~` where a value starts: a shell leaves it in `task.path=~/own.csv`, and Hydra's grammar refuses it."""
    return re.sub(r"(?<=[=,(\[])~(?=/)", str(Path.home()), argument)


def _quoted(argument: str) -> str:
    """Quote a value that is the path of a file as it stands, such as `task.path=prices (1).csv`."""
    key, equals, value = argument.partition("=")
    if not equals or key.startswith("-") or not MARKS.search(value) or not _is_file(value):
        return argument
    return f"{key}={quote(value)}"


def _is_file(value: str) -> bool:
    try:
        return typed(value).is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, no such user
        return False


def opened(override: str) -> str:
    """Mark an override below an open key such as `model.options`: Hydra adds a key only where ++ says so."""
    from study.schema import open_keys

    starts = tuple(f"{key}{end}" for key in open_keys() for end in ".=")
    return f"{ADDED}{override}" if override.startswith(starts) else override


def closed(override: str) -> str:
    """The same as it was typed."""
    plain = override.removeprefix(ADDED)
    return plain if opened(plain) == override else override


def settled(overrides: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """Overrides with one budget: the last one given. Others are dropped, and null where they are set already.

    Args:
        overrides: in the order of their weight.
        known: the budgets that are set without them, by dotted key; null is none.
    """
    budget = _budget(overrides)
    if budget is None:
        return list(overrides)
    kept = [text for text in overrides if _key(text) not in BUDGETS or text == budget or _is_null(text)]
    nulls = [f"{key}=null" for key in BUDGETS if key != _key(budget) and known.get(key) is not None]
    beside = kept.index(budget) + 1  # not at the end: there an option of Hydra's may stand, and nothing after it
    return [*kept[:beside], *(text for text in nulls if text not in kept), *kept[beside:]]


def describe_budget(overrides: Sequence[str], known: Mapping[str, Any]) -> str:
    """A sentence on what the budget that was typed replaces; empty where it replaces none, or that was typed too."""
    budget = _budget(overrides)
    if budget is None:
        return ""
    found = {key: f"{key}={value}" for key, value in known.items() if value is not None}
    found |= {_key(text): text for text in overrides if _key(text) in BUDGETS}
    replaced = [text for key, text in found.items() if key != _key(budget) and not _is_null(text)]
    return f"The budget is {budget}, in place of {' and '.join(replaced)}." if replaced else ""


def budgets_in_files(overrides: Sequence[str]) -> dict[str, Any]:
    """The budgets that `conf/` and a chosen experiment set, by dotted key; not looked for where none is typed.

    Args:
        overrides: as typed; an experiment that `conf/` does not have is looked for in the folder after `--config-dir`.
    """
    if _budget(overrides) is None:
        return {}
    chosen = [text.partition("=")[2] for text in overrides if _key(text) == "experiment"]
    trainer = listed("trainer")
    for name in chosen[-1:]:
        trainer = trainer | _trainer_of(option("experiment", name) or _own_experiment(name, overrides))
    return {key: trainer.get(key.partition(".")[2]) for key in BUDGETS}


def _trainer_of(experiment: Mapping[Any, Any]) -> dict[str, Any]:
    trainer = experiment.get("trainer")
    return trainer if isinstance(trainer, dict) else {}


def _own_experiment(name: str, arguments: Sequence[str]) -> Mapping[Any, Any]:
    """The values in an experiment's file in a folder of the user's; none where Hydra would refuse it."""
    for file in (folder / "experiment" / f"{name}.yaml" for folder in own_folders(arguments)):
        if file.is_file():
            with suppress(OSError, ValueError, yaml.YAMLError):
                found = OmegaConf.to_container(OmegaConf.load(file))
                return found if isinstance(found, dict) else {}
    return {}


def own_folders(arguments: Sequence[str]) -> Iterator[Path]:
    """The folders with configurations of the user's own."""
    for argument, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, beside = argument.partition("=")
        if name in ("-cd", "--config-dir") and (folder := Path(beside if equals else value)).is_dir():
            yield folder


def _budget(overrides: Sequence[str]) -> str | None:
    """The last override that gives a budget a value."""
    given = [text for text in overrides if _key(text) in BUDGETS and not _is_null(text)]
    return given[-1] if given else None


def _is_null(override: str) -> bool:
    return override.partition("=")[2].strip() == "null"


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def quote(text: str) -> str:
    r"""A text as Hydra's grammar reads it back: in the quotes that it lacks, else with its double quotes escaped.

    A backslash before a quote, and at the end, has to be doubled; `${` would be looked up.
    """
    mark = "'" if '"' in text and "'" not in text else '"'
    escaped = re.sub(rf"(\\*)({mark}|$)", lambda m: m.group(1) * 2 + ("\\" + mark if m.group(2) else ""), text)
    return f"{mark}{escaped.replace('${', chr(92) + '${')}{mark}"
