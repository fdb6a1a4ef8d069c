"""The command line around Hydra's: an unusable configuration is one readable message and exit code 2."""

import functools
import os
import re
import sys
from collections.abc import Callable

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from study.errors import ConfigError, nearest
from study.schema.defaults import CONF

INTERRUPTED = 130  # as a shell says it: 128 + SIGINT


def command(job: Callable[[DictConfig], None]) -> Callable[[], None]:
    """Make a Hydra application of `job`, over `conf/train.yaml`, that tells wrong configurations in words.

    Any other exception keeps its traceback: it is a defect, not a wrong input.
    """

    @functools.wraps(job)
    def told(composed: DictConfig) -> None:
        try:
            job(composed)
        except ConfigError as error:
            _refuse(str(error))  # here, not below: Hydra would print lines of its own first

    application = hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(told)

    def main() -> None:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises instead of printing and exiting
        try:
            application()
        except ConfigError as error:
            _refuse(str(error))
        except (HydraException, OmegaConfBaseException) as error:
            _refuse(explain(error))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return main


def explain(error: Exception) -> str:
    """Hydra's message in ours: the key, its value, what is allowed, the nearest name."""
    from study.schema import keys

    text = f"{error}\n{error.__cause__ or ''}".strip()
    if match := re.search(r"Could not override '\+*([\w./@]+)'", text):
        key, known = match.group(1), set(keys())
        hint = f"; another choice of {key.partition('.')[0]} has it" if key in known else nearest(key, known)
        return f"{key}: no such key{hint}"
    if match := re.search(r"Could not find '([\w/]+)/([^'/]*)'", text):
        options = re.findall(r"^\t(\S+)$", text, re.M)
        group, name = match.groups()
        return f"{group} = {name!r}: no such option{nearest(name, options)} (allowed: {', '.join(options)})"
    return text.partition("\nConfig search path:")[0].strip()  # paths of Hydra's own help nobody


def _refuse(message: str) -> None:
    print(f"The configuration cannot be used:\n{message}", file=sys.stderr)
    sys.exit(2)
