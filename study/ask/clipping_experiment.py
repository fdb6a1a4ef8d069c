"""The experiment that would tell: a run's own policy beside those that would have differed most from it, trained."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import yaml

from study.ask.clips import changes
from study.ask.replays import Replayed
from study.schema.base import Decides
from study.schema.clip import ClipConfig
from study.schema.defaults import chosen, defaults
from study.schema.identity import mark

MOST = 3
"""Policies beside the run's own."""
SEEDS = 3
"""Fewest that an interval is worth drawing from."""
LEFT_OUT = ("clip", "slug", "seed", "tracking", "data", "sweep")
"""Of a run's configuration: what the experiment sets itself, and what is of one machine."""


def slug(found: Replayed) -> str:
    """The name of the experiment, and of its file."""
    return f"clipping_{found.run.run_id[:8]}"


def differing(found: Replayed) -> list[str]:
    """Names of the two or three policies to train: each as far as can be from the run's own and those before it.

    Two of different roles are further apart than any two of one role; then counts the share of updates they act in.
    What would have applied the gradients of the run, or those of another one here, trains nothing new.
    """
    table = found.table().set_index("policy")
    open_ = [str(name) for name, row in table.iterrows() if not row["own"] and row["first_difference"] > 0]
    own = next((str(name) for name, row in table.iterrows() if row["own"]), None)
    kept: list[str] = []
    while open_ and len(kept) < MOST:
        beside = [*([own] if own else []), *kept]
        best = max(open_, key=lambda name: min((_distance(table, name, other) for other in beside), default=1.0))
        if beside and min(_distance(table, best, other) for other in beside) == 0:
            break
        open_.remove(best)
        kept.append(best)
    return kept


def _distance(table: pd.DataFrame, one: str, other: str) -> float:
    far = sum(abs(float(table[key][one] - table[key][other])) for key in ("acted", "effective_step"))
    return float(table["role"][one] != table["role"][other]) + far


def experiment(found: Replayed, names: list[str]) -> str:
    """The text of a file for `conf/experiment`: the run's own policy and others as arms, all else as in the run."""
    record = {key: value for key, value in found.record.items() if key not in LEFT_OUT}
    groups = chosen(record)
    seed, values = int(found.record["seed"]), _without_usual(record, defaults(groups))
    arms = [_arm(found.record["clip"]["name"], _own_changes(found)), *(_arm_of(found.policies[n][0]) for n in names)]
    parts = [
        {"defaults": [{f"override /{group}": name} for group, name in groups.items()]},
        {"slug": slug(found)},
        values,
        {"sweep": {"arms": arms, "seeds": [seed + n for n in range(SEEDS)]}},
    ]
    head = (
        "# @package _global_\n"
        f"# Which clipping does {found.run.name} need? Its own, and what would have differed from it.\n"
        f"# Run it: make sweep EXPERIMENT={slug(found)}\n"
    )
    return head + "".join(yaml.safe_dump(part, sort_keys=False, width=110) for part in parts if part)


def _own_changes(found: Replayed) -> dict[str, object]:
    """As they were logged: a file of the user's own lies where it lay then."""
    return {key: found.record["clip"][key] for key in changes(found.own)}


def _arm_of(config: ClipConfig) -> dict[str, object]:
    return _arm(config.name, changes(config))


def _arm(name: str, values: Mapping[str, object]) -> dict[str, object]:
    return {"clip": name} | {f"clip.{key}": value for key, value in values.items()}


def _without_usual(record: Mapping[str, Any], usual: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a record that are not what `conf/` gives."""
    return dict(_unusual(record, usual, prefix))


def _unusual(record: Mapping[str, Any], usual: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        known: Any = usual.get(key)
        if mark(prefix + key) is Decides.HERE or value == known:
            continue
        both = isinstance(value, dict) and isinstance(known, dict)
        yield key, _without_usual(value, known, f"{prefix}{key}.") if both else value
