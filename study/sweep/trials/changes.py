"""The arms of a plan and those that a study knows from earlier commands: found again, refused if changed, saved.

A study keeps every arm as an attribute `arm <digest>` with its label and its definition. The digest is part of the
name of every cell, so an arm that older code saved under another digest must keep that one.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import optuna

from study.errors import ConfigError
from study.sweep.planning.fingerprint import digest, resolve
from study.sweep.planning.plan import Arm, Plan
from study.sweep.trials.status import cell_of


class Known(NamedTuple):
    """An arm as a study knows it.

    Attributes:
        label: that it had when it was last planned.
        definition: as the code recorded it that planned it.
        former: labels that it had before that.
    """

    label: str
    definition: dict[str, str]
    former: list[str]


def match(study: optuna.Study, plan: Plan, refusing: bool) -> Plan:
    """The plan with the arms that the study knows from earlier commands found again; the study then knows all of them.

    Raises:
        ConfigError: an arm has changed, and changes are to be refused.
    """
    plan = adopt_digests(study, plan)
    if refusing:
        refuse_changes(study, plan)
    save_arms(study, plan)
    return plan


def adopt_digests(study: optuna.Study, plan: Plan) -> Plan:
    """The plan with the digests under which the study knows its arms, so that their cells are found."""
    runs, same = _count_trials(study), defaultdict[str, dict[str, Known]](dict)
    for name, old in known_arms(study).items():
        same[digest(old.definition)][name] = old
    arms = (_adopted(arm, same[digest(arm.definition)], runs) for arm in plan.arms.values())
    return replace(plan, arms={arm.digest: arm for arm in arms})


def refuse_changes(study: optuna.Study, plan: Plan) -> None:
    """Refuse a plan with an arm that the study knows by the same label under another definition.

    Raises:
        ConfigError: naming what changed, and what can be done.
    """
    known = known_arms(study)
    by_label = {old.label: old for old in known.values()}
    for arm in plan.arms.values():
        if arm.digest not in known and arm.label in by_label:
            slug, changes = study.study_name, _difference(by_label[arm.label].definition, arm.definition)
            raise ConfigError(
                f"{slug}: the experiment has changed since its runs were made: {changes}.\n"
                f"Give it a name of its own (slug={slug}-2), or add the new runs to the study (sweep.changed=extend)."
            )


def save_arms(study: optuna.Study, plan: Plan) -> None:
    """Write the plan's arms into the study, for later commands to compare theirs with."""
    before = study.user_attrs
    for arm in plan.arms.values():
        known = {"label": arm.label, "definition": dict(arm.definition), "former": list(arm.former)}
        if before.get(key := f"arm {arm.digest}") != known:
            study.set_user_attr(key, known)


def known_arms(study: optuna.Study) -> dict[str, Known]:
    """The arms in a study by digest."""
    found = {key.removeprefix("arm "): arm for key, arm in study.user_attrs.items() if key.startswith("arm ")}
    return {digest: Known(arm["label"], arm["definition"], arm.get("former", [])) for digest, arm in found.items()}


def _adopted(arm: Arm, same: Mapping[str, Known], runs: Mapping[str, int]) -> Arm:
    """The arm under its digest in the study; of several, which older code kept apart, that with most trials."""
    if not same:
        return arm
    labels = {label for old in same.values() for label in (old.label, *old.former)} - {arm.label, *arm.twins}
    return replace(arm, digest=max(same, key=lambda digest: (runs[digest], digest)), former=tuple(sorted(labels)))


def _count_trials(study: optuna.Study) -> Counter[str]:
    """Trials by the digest of their arm."""
    cells = (cell_of(trial) for trial in study.get_trials(deepcopy=False))
    return Counter(cell.arm for cell in cells if cell is not None)


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The changed keys in words, without those that only lost or gained their effect by the change of another."""
    old, new = resolve(before), resolve(now)
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    keys = [key for key in differing if {**old, **before}.get(key) != {**new, **now}.get(key)] or differing
    return ", ".join(f"{key} was {old.get(key, 'absent')}, is {new.get(key, 'absent')}" for key in keys)
