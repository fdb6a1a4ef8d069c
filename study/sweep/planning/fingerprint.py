"""What makes an arm the arm it is, kept in the study, so that a changed experiment does not pass for the old one."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from study.errors import ConfigError
from study.schema import Config
from study.sweep.planning.grammar import Dimension

if TYPE_CHECKING:
    from study.sweep.trials.ledger import Ledger

SURFACE = {"slug": True, "seed": True, "data": True, "tracking": True, "sweep": True} | {
    "trainer": {"progress_bar", "checkpoint"}
}
"""What does not change an arm's numbers, or is not the arm's."""


def define(config: Config, search: Mapping[str, Dimension]) -> dict[str, str]:
    """Everything that decides an arm's numbers but the seed: dotted key -> value."""
    tuned = {f"sweep.search.{key}": str(dimension) for key, dimension in search.items()}
    if search and config.sweep.objective is not None:
        tuned["sweep.objective"] = str(config.sweep.objective)
    return dict(_flatten(config.model_dump(exclude=SURFACE))) | tuned


def digest(definition: Mapping[str, str]) -> str:
    """A short name for a definition."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]


def save(ledger: "Ledger") -> None:
    """Write the plan's arms into the study, to compare later ones with."""
    for arm in ledger.plan.arms.values():
        ledger.study.set_user_attr(f"arm {arm.digest}", {"label": arm.label, "definition": arm.definition})


def refuse_changes(ledger: "Ledger") -> None:
    """Stop where an arm of the plan stands in the study under another definition.

    Raises:
        ConfigError: naming what changed, and what can be done.
    """
    known = {name.removeprefix("arm "): arm for name, arm in ledger.study.user_attrs.items() if name.startswith("arm ")}
    for arm in ledger.plan.arms.values():
        before = [old["definition"] for old in known.values() if old["label"] == arm.label]
        if arm.digest not in known and before:
            slug = ledger.study.study_name
            raise ConfigError(
                f"{slug} is not what its runs in the study were made from: {_difference(before[-1], arm.definition)}.\n"
                f"Give it a name of its own (slug={slug}-2), or add the new runs to the study (sweep.changed=extend)."
            )


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return ", ".join(f"{key} was {before.get(key, 'absent')}, is {now.get(key, 'absent')}" for key in keys)


def _flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value)
