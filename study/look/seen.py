"""What was seen in a file, and the command that trains on it."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from study.installation import door

PLAIN = re.compile(r"[\w./+-]+")
"""A value that neither Hydra nor a shell reads otherwise."""

SPLITS = ("train", "val", "test")
"""As the contract of tasks names them, which would import torch."""


@dataclass(frozen=True)
class Seen:
    """What was seen in a file.

    Attributes:
        kind: series, labels or text.
        facts: by name.
        notes: what had to be decided to read it, in sentences.
        refused: why it cannot be trained on as it is; empty if it can.
        overrides: what to type; none if it is refused.
    """

    kind: str
    facts: dict[str, Any]
    notes: Sequence[str] = ()
    refused: str = ""
    overrides: Sequence[str] = ()

    @property
    def command(self) -> str:
        """The command to type next; empty if the file is refused."""
        if not self.overrides:
            return ""
        train = door("train")
        if train.startswith("make"):
            if not re.search(r"""["'$\\\s]""", "".join(self.overrides)):
                return f'{train} ARGS="{" ".join(self.overrides)}"'
            train = ".venv/bin/study-train"
        return f"{train} {shlex.join(self.overrides)}"

    def record(self, file: str) -> dict[str, Any]:
        """The same as plain values."""
        said = {"kind": self.kind, **self.facts, "notes": list(self.notes), "refused": self.refused}
        return {"file": file, **said, "overrides": list(self.overrides), "command": self.command}


def value(given: str) -> str:
    """A text as a value in Hydra's grammar."""
    if PLAIN.fullmatch(given):
        return given
    from study.command.arguments import quote

    return quote(given)


def values(given: Sequence[str]) -> str:
    """Texts as a list in Hydra's grammar."""
    return f"[{','.join(map(value, given))}]"
