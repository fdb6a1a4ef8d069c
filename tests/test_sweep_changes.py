"""A study made by older code goes on: its arms are found again, and only what decides numbers counts as changed."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from optuna import Study

from study.errors import ConfigError
from study.installation import CONF
from study.report.data.plan import load_plan
from study.schema.sweep import SweepConfig
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.planning.fingerprint import resolve
from study.sweep.planning.grammar import Dimension
from study.sweep.planning.plan import Plan
from study.sweep.trials.changes import adopt_digests, known_arms, refuse_changes, save_arms
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.storage import open_study
from study.tracking import sweeps
from study.tracking.reader import search

pytestmark = pytest.mark.usefixtures("stores")
Draw = Callable[..., Plan]
Definition = dict[str, str]
ARMS = [{"model": ["elman", "lstm"]}]


@pytest.fixture(scope="module")
def draw() -> Iterator[Draw]:
    """The plan of a sweep's section: two arms on two seeds. Plans are made once: it takes a while."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        master = compose("train", return_hydra_config=True)
        composer, plans = Composer(GlobalHydra.instance().config_loader(), master), {}
        section: dict[str, Any] = dict(master.sweep) | {"arms": ARMS, "seeds": [0, 1], "search": {}, "storage": ""}

        def drawn(search: str = "", **more: Any) -> Plan:
            if search not in plans:
                tuned = {"optimizer.lr": search} if search else {}
                plans[search] = build_plan(SweepConfig(**(section | {"search": tuned})), [], composer)
            return replace(plans[search], **more)

        yield drawn


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with open_study(f"sqlite:///{tmp_path}/optuna.db", "slug", "minimize") as study:
        yield study


def made_by_older_code(study: Study, plan: Plan, change: Callable[[Definition], Definition]) -> Plan:
    """Fill a study as code would have left it that defined the arms of `plan` otherwise, and named them after that."""
    arms = {}
    for arm in plan.arms.values():
        definition = change(dict(arm.definition))
        digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]
        arms[digest] = replace(arm, definition=definition, digest=digest)
    older = replace(plan, arms=arms)
    save_arms(study, older)
    make_all(study, older)
    return older


def make_all(study: Study, plan: Plan) -> int:
    """Make every open run; return their number."""
    ledger, made = Ledger(study, plan), 0
    while trial := ledger.claim():
        ledger.finish(trial, 1.0, {"outcome": "completed"})
        made += 1
    return made


def without(*keys: str) -> Callable[[Definition], Definition]:
    return lambda definition: {key: value for key, value in definition.items() if key not in keys}


OLDER = {
    "as it is": without(),
    "a key of a group added since": without("model.bidirectional", "optimizer.weight_decay"),
    "a group added since": without("clip.name"),
    "a key of one option added since": without("model.forget_bias"),
    "keys that decide nothing recorded": lambda definition: definition | {"probe.every": "7", "task.horizon": "3"},
    "keys gone since that decided nothing": lambda definition: definition | {"probe.gone.since": "True"},
    "another spelling": lambda definition: definition | {"trainer.validate_every": "17"},
}


@pytest.mark.parametrize("version", OLDER)
def test_a_study_made_before_or_after_a_key_existed_continues(study: Study, draw: Draw, version: str) -> None:
    made_by_older_code(study, draw(), OLDER[version])
    plan = adopt_digests(study, draw())
    refuse_changes(study, plan)
    save_arms(study, plan)
    assert make_all(study, plan) == 0
    assert Ledger(study, plan).counts() == {"completed": 4, "open": 0}
    more = adopt_digests(study, draw(seeds=[0, 1, 2]))
    assert make_all(study, more) == 2
    assert len(known_arms(study)) == 2


CHANGED: dict[str, Callable[[Definition], Definition]] = {
    "optimizer.lr was 0.5, is 0.003": lambda definition: definition | {"optimizer.lr": "0.5"},
    "optimizer.gone was 3, is absent": lambda definition: definition | {"optimizer.gone": "3"},
    "bptt.k2 was 5, is None": lambda definition: definition | {"bptt.k2": "5"},
    "trainer.accelerator was cuda, is cpu": lambda definition: definition | {"trainer.accelerator": "cuda"},
}


@pytest.mark.parametrize("words", CHANGED)
def test_what_decides_numbers_is_a_change_and_refused_with_nothing_else_named(
    study: Study, draw: Draw, words: str
) -> None:
    made_by_older_code(study, draw(), CHANGED[words])
    plan = adopt_digests(study, draw())
    with pytest.raises(ConfigError, match=rf"has changed since its runs were made: {words}\.\n.*slug=slug-2"):
        refuse_changes(study, plan)
    assert make_all(study, plan) == 4  # with sweep.changed=extend


def test_a_searched_arm_is_another_arm_with_another_space_and_found_again_with_its_own(
    study: Study, draw: Draw
) -> None:
    older = made_by_older_code(study, draw("interval(0.1,1)", trials=2), without("model.gain"))
    assert set(adopt_digests(study, draw("interval(0.1,1)", trials=3)).arms) == set(older.arms)
    for other in ("", "interval(0.1,2)"):
        assert set(adopt_digests(study, draw(other)).arms).isdisjoint(older.arms)


def test_of_two_arms_that_older_code_kept_apart_the_one_with_more_runs_goes_on(study: Study, draw: Draw) -> None:
    few = made_by_older_code(study, draw(seeds=[0]), lambda definition: definition | {"probe.every": "None"})
    many = made_by_older_code(study, draw(seeds=[0, 1, 2]), lambda definition: definition | {"probe.every": "10"})
    plan = adopt_digests(study, draw(seeds=[0, 1, 2]))
    assert set(plan.arms) == set(many.arms) != set(few.arms)
    assert make_all(study, plan) == 0


def test_an_arm_keeps_the_labels_that_its_runs_are_tagged_with(study: Study, draw: Draw, store: str) -> None:
    made_by_older_code(study, draw(), without())
    for title in ("first", "second"):
        renamed = {digest: replace(arm, title=f"{title} {arm.label}") for digest, arm in draw().arms.items()}
        save_arms(study, plan := adopt_digests(study, draw(arms=renamed)))
    assert [arm.former for arm in plan.arms.values()] == [
        (f"first model={model}", f"model={model}") for model in ("elman", "lstm")
    ]
    sweeps.open_parent(store, "labels", plan.describe())
    (parent,) = search(store, slug="labels")
    assert load_plan(parent).arms["second model=lstm"] >= {"second model=lstm", "first model=lstm", "model=lstm"}


def test_the_text_of_a_tuned_key_is_what_studies_have_recorded() -> None:
    recorded = "Dimension(key='lr', low=0.1, high=1, step=0, log=True, choices=())"
    assert str(Dimension("lr", 0.1, 1, log=True)) == recorded


def test_a_definition_says_the_same_when_it_is_read_again(draw: Draw) -> None:
    for arm in draw("interval(0.1,1)").arms.values():
        assert resolve(resolve(arm.definition)) == resolve(arm.definition)
