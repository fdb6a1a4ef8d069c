"""The command line around Hydra's: an unusable configuration becomes one readable message and exit code 2."""

import functools
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from study.errors import ConfigError, nearest
from study.installation import CONF

ADDED = "++"
"""Before a key that Hydra may add."""
INTERRUPTED = 130  # as a shell reports it: 128 + SIGINT


def command(job: Callable[[DictConfig], None]) -> Callable[[], None]:
    """Make a Hydra application of `job`, over `conf/train.yaml`, that explains wrong configurations in words.

    Any other exception keeps its traceback: it is a defect, not a wrong input.
    """

    @functools.wraps(job)
    def explained(composed: DictConfig) -> None:
        try:
            job(composed)
        except ConfigError as error:
            _refuse(str(error))  # here, not below: Hydra would print lines of its own first

    application = hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(explained)

    def main() -> None:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises instead of printing and exiting
        sys.argv = [sys.argv[0], *(opened(_expand_home(argument)) for argument in sys.argv[1:])]
        try:
            application()
        except ConfigError as error:
            _refuse(str(error))
        except (HydraException, OmegaConfBaseException) as error:
            _refuse(explain(error))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return main


def _expand_home(argument: str) -> str:
    """Expand `~` where a value starts: a shell leaves it in `task.path=~/own.csv`, and Hydra's grammar refuses it."""
    return re.sub(r"(?<=[=,(\[])~(?=/)", str(Path.home()), argument)


def opened(override: str) -> str:
    """Mark an override below an open key such as `model.options`: Hydra adds a key only where ++ says so."""
    from study.schema import open_keys

    starts = tuple(f"{key}{end}" for key in open_keys() for end in ".=")
    return f"{ADDED}{override}" if override.startswith(starts) else override


def closed(override: str) -> str:
    """The same as it was typed."""
    plain = override.removeprefix(ADDED)
    return plain if opened(plain) == override else override


def explain(error: Exception) -> str:
    """Reword a message of Hydra: the key, its value, what is allowed, the nearest name."""
    from study.schema import keys

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
        key, known = match.group(1), set(keys())
        hint = f"; another choice of {key.partition('.')[0]} has it" if key in known else nearest(key, known)
        return f"{key}: no such key{hint}"
    if match := re.search(r"Could not find '([\w/]+)/([^'/]*)'", text):
        options = re.findall(r"^\t(\S+)$", text, re.M)
        group, name = match.groups()
        return f"{group} = {name!r}: no such option{nearest(name, options)} (allowed: {', '.join(options)})"
    return text.partition("\nConfig search path:")[0].strip()  # the paths are those of Hydra's own help


def _unreadable(override: str, why: str) -> str:
    """Say which argument Hydra cannot parse, and how it would."""
    key, _, value = override.partition("=")
    if not value:
        return f"{override}: write key=value"
    parts = value.removeprefix("[").removesuffix("]").split(",")
    if value == f"[{','.join(parts)}]":
        texts = ",".join(part.strip() if _readable(part) else quote(part.strip()) for part in parts)
        return f"{key} = {value!r}: {why}; quote the texts in a list for Hydra too: {shlex.quote(f'{key}=[{texts}]')}"
    quoted = shlex.quote(f"{key}={quote(value)}")
    return f"{key} = {value!r}: {why}; if it is a text, quote it for Hydra too: {quoted}"


def _readable(value: str) -> bool:
    """Whether Hydra's grammar has a value."""
    try:
        return bool(OverridesParser.create().parse_overrides([f"key={value}"]))
    except HydraException:
        return False


def quote(text: str) -> str:
    r"""A text as Hydra's grammar reads it back: in the quotes that it lacks, else with its double quotes escaped.

    A backslash before a quote, and at the end, has to be doubled; `${` would be looked up.
    """
    mark = "'" if '"' in text and "'" not in text else '"'
    escaped = re.sub(rf"(\\*)({mark}|$)", lambda m: m.group(1) * 2 + ("\\" + mark if m.group(2) else ""), text)
    return f"{mark}{escaped.replace('${', chr(92) + '${')}{mark}"


def _refuse(message: str) -> None:
    print(f"The configuration cannot be used:\n{message}", file=sys.stderr)
    sys.exit(2)
