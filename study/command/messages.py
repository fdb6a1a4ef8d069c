"""Hydra's errors in words: the key, its value, what is allowed, the nearest name; one line each."""

import re
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import antlr4
import hydra
import omegaconf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from study.command.arguments import quote
from study.errors import SHOWN, UNUSABLE, ConfigError, Trouble, nearest
from study.schema import lightning
from study.schema.defaults import options

INSIDE = re.compile(r"^Error merging override |^ *(full_key|object_type|reference_type)[:=].*$", re.M)
"""What Hydra's messages say of its own inside."""
LIBRARIES = tuple(str(Path(str(library.__file__)).parent) for library in (hydra, omegaconf, antlr4))


def refuse(error: ConfigError) -> NoReturn:
    """End the process with what an error says."""
    head = "" if isinstance(error, Trouble) else "The configuration cannot be used:\n"
    print(f"{head}{error}", file=sys.stderr)
    sys.exit(UNUSABLE)


def is_of_hydra(error: BaseException) -> bool:
    """Whether an error was raised in Hydra's own code before there was a job: then it is about what was typed."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename.startswith(LIBRARIES) and "run_job" not in {frame.name for frame in frames}


@contextmanager
def explained() -> Iterator[None]:
    """Raise as `ConfigError` what Hydra raises in the block about what was typed, of whatever class it is."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
    except Exception as error:
        if not is_of_hydra(error):
            raise
        raise ConfigError(f"Hydra cannot use what was typed: {one_line(str(error))[:SHOWN]}") from error


def explain(error: Exception) -> str:
    """Reword an error of Hydra or OmegaConf."""
    text = f"{error}\n{error.__cause__ or ''}".strip()
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, "Hydra cannot read this value")
    if match := re.search(r"Ambiguous value for argument '(.*)'\n1\.", text, re.S):
        return _unreadable(
            match.group(1), "a comma separates values: [a,b] is a list, and --multirun makes a run of each"
        )
    if isinstance(error, InterpolationKeyError):
        return f"{error.full_key}: {str(error.msg).splitlines()[0]}; if ${{ is part of a text, write \\${{"
    if match := re.search(r"Could not override '\+*([\w./@]+)'", text):
        return _unknown(match.group(1))
    if match := re.search(r"Could not find '([\w/]+)/([^'/]*)'", text):
        found = re.findall(r"^\t(\S+)$", text, re.M)
        group, name = match.groups()
        return f"{group} = {name!r}: no such option{nearest(name, found)} (allowed: {', '.join(found)})"
    text = text.partition("\nConfig search path:")[0]  # the paths are those of Hydra's own help
    return one_line(INSIDE.sub("", text))


def one_line(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def _unknown(key: str) -> str:
    """A key that the composed configuration lacks: a mistake, or a key of an option that is not chosen."""
    from study.schema import keys, options_with

    if known := options(key):
        return f"{key}: an option is chosen by its name (allowed: {', '.join(known)})"
    if having := options_with(key):
        group = key.partition(".")[0]
        others = f"; so have {', '.join(having[1:])}" if len(having) > 1 else ""
        return f"{key}: no such key here; it needs another choice of {group}: add {group}={having[0]}{others}"
    return f"{key}: no such key{lightning.reason(key) or nearest(key, set(keys()))}"


def _unreadable(override: str, why: str) -> str:
    """Say which argument Hydra cannot parse, and how it would."""
    key, _, value = override.partition("=")
    if not value:
        return f"{override}: write key=value"
    if re.fullmatch(r"\[?\{.*\}\]?", value):
        return f"{key} = {value!r}: {why}; in braces a key stands without quotes: {{optimizer.lr: [0.1, 1]}}"
    parts = value.removeprefix("[").removesuffix("]").split(",")
    if value == f"[{','.join(parts)}]":
        texts = ",".join(part.strip() if readable(part) else quote(part.strip()) for part in parts)
        return f"{key} = {value!r}: {why}; quote the texts in a list for Hydra too: {shlex.quote(f'{key}=[{texts}]')}"
    quoted = shlex.quote(f"{key}={quote(value)}")
    return f"{key} = {value!r}: {why}; if it is a text, quote it for Hydra too: {quoted}"


def readable(value: str) -> bool:
    """Whether Hydra's grammar has a value."""
    try:
        return bool(OverridesParser.create().parse_overrides([f"key={value}"]))
    except HydraException:
        return False
