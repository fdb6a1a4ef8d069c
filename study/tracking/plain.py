"""Plain values as YAML: written, and read where others wrote it, with no more work than its length is worth.

No MLflow here.
"""

from collections.abc import Iterable
from typing import Any

import yaml

from study.errors import ConfigError

LARGEST = 100_000
"""Bytes of a logged configuration; real ones have some 2,000."""
DEEPEST = 20
"""Levels of nesting; those of real files are 4."""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


class _Dumper(DUMPER):
    """Texts that some reader of YAML takes for a number (Hydra's for `1e-3`) are quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """A value that stands twice is written twice: `read` refuses aliases."""
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        """One text; the dumper itself quotes what it would read as something else."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="'" if is_number(text) else None)


_Dumper.add_representer(str, _Dumper.text)


def is_number(text: str) -> bool:
    """Whether a text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def write(values: Any) -> str:
    """Plain values, in their order, as YAML."""
    return str(yaml.dump(values, Dumper=_Dumper, allow_unicode=True, sort_keys=False))


def read(text: bytes, name: str, largest: int = LARGEST) -> dict[Any, Any]:
    """Read a mapping of plain values.

    Args:
        text: YAML.
        name: of the file, for errors.
        largest: bytes that it may have.

    Raises:
        ConfigError: it is none, or a short text that costs much.
    """
    if len(text) > largest:
        raise ConfigError(f"{name} has {len(text)} bytes: none is that long")
    try:
        _refuse_bombs(yaml.scan(text, Loader=LOADER), name)
        node = yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also numbers and nesting without end
        raise ConfigError(f"{name} is not plain YAML: {error}") from error
    if not isinstance(node, dict):
        raise ConfigError(f"{name}: a mapping is needed")
    return node


def _refuse_bombs(tokens: Iterable[yaml.Token], name: str) -> None:
    """Refuse what makes a short text cost much: aliases, which multiply, and nesting, which takes quadratic time."""
    depth = 0
    for token in tokens:
        if isinstance(token, yaml.AliasToken):
            raise ConfigError(f"{name}: aliases are refused, a few lines of them can fill the memory")
        depth += isinstance(token, OPENING) - isinstance(token, CLOSING)
        if depth > DEEPEST:
            raise ConfigError(f"{name} is nested more than {DEEPEST} levels deep: no such file is")
