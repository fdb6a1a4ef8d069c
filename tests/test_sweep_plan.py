"""Sweeps as they are written, and the plans made from them."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from pydantic import ValidationError

from study.errors import ConfigError
from study.installation import CONF
from study.schema.sweep import SweepConfig
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer, exists
from study.sweep.planning.grammar import Dimension, grids, space
from study.sweep.planning.objective import find_direction
from study.sweep.planning.plan import SEARCH_SEED, Plan
from study.sweep.workers.worker import sample

Draw = Callable[..., Plan]
PLAIN: dict[str, Any] = {
    "arms": [], "search": {}, "trials": 3, "search_seeds": 1, "objective": None, "seeds": [0], "sampler": "tpe",
    "pruner": None, "bad_verdicts": None, "diverged": "worst", "changed": "refuse", "failures": None, "workers": None,
    "storage": "", "dry_run": False,
}  # fmt: skip
"""A sweep's section with nothing in it."""


@pytest.fixture
def composer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Composer]:
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader(), compose("train", return_hydra_config=True))


@pytest.fixture
def draw(composer: Composer) -> Draw:
    """A plan of some arguments; the sweep's section by keyword."""

    def drawn(*arguments: str, **section: Any) -> Plan:
        return build_plan(SweepConfig(**(PLAIN | section)), arguments, composer)

    return drawn


def labels(plan: Plan) -> list[str]:
    return [arm.label for arm in plan.arms.values()]


def test_values_are_spelled_out_from_lists_single_values_and_hydras_syntax():
    spelled = grids([{"model": "elman,lstm", "a": [1, 2.5, None], "b": 3, "c": "range(1,4)", "d": [["x", "y"], ["x"]]}])
    assert spelled == [
        {"model": ["elman", "lstm"], "a": ["1", "2.5", "null"], "b": ["3"], "c": ["1", "2", "3"], "d": ["[x,y]", "[x]"]}
    ]


def test_no_arms_is_one_grid_of_one_cell():
    assert grids([]) == [{}]


def test_a_search_space_is_read_in_hydras_syntax():
    found = space({
        "lr": "tag(log, interval(1e-4, 1e-1))", "size": "int(interval(8, 64))", "odd": "range(1, 10, 2)",
        "kind": "choice(a, b)", "listed": [1, None],
    })  # fmt: skip
    assert list(found.values()) == [
        Dimension("lr", 1e-4, 1e-1, log=True), Dimension("size", 8, 64), Dimension("odd", 1, 9, 2),
        Dimension("kind", choices=("a", "b")), Dimension("listed", choices=("1", "null")),
    ]  # fmt: skip
    assert isinstance(found["size"].low, int)


@pytest.mark.parametrize(
    "value", ["interval(2, 1)", "interval(1, 1)", "tag(log, interval(0, 1))", "range(1, 2)", 3, []]
)
def test_a_space_of_nothing_is_refused_with_its_key(value):
    with pytest.raises(ConfigError, match=r"sweep\.search\.lr"):
        space({"lr": value})


@pytest.mark.parametrize(("value", "words"), [([], "no arm"), ("interval(0,1)", "sweep.search"), ("a=b,(", "read")])
def test_what_cannot_be_compared_is_refused_with_its_key(value, words):
    with pytest.raises(ConfigError, match=rf"sweep\.arms\.lr.*{words}"):
        grids([{"lr": value}])


def test_a_grid_is_the_full_product_of_its_values(draw):
    plan = draw(arms=[{"model": ["elman", "lstm"], "optimizer.lr": [0.1, 0.2, 0.3]}], seeds=[4, 5])
    assert len(plan.arms) == 6
    assert len(list(plan.cells())) == len(plan) == 12
    assert {cell.seed for cell in plan.cells()} == {4, 5}


def test_grids_follow_one_another_and_equal_arms_count_once(draw):
    plan = draw(arms=[{"model": ["elman", "gru"]}, {"model": "lstm", "optimizer.lr": 0.1}, {"model": "gru"}])
    assert labels(plan) == ["model=elman", "model=gru", "model=lstm optimizer.lr=0.1"]


def test_an_arm_is_the_same_however_it_is_spelled_and_another_with_any_other_number(draw):
    digest = {*draw(arms=[{"model": "gru"}]).arms}
    assert digest == {*draw("model=gru").arms} == {*draw(arms=[{"model": "gru", "clip": "none"}]).arms}
    assert digest == {*draw("model=gru", "sweep.workers=3").arms} == {*draw("model=gru", seeds=[1]).arms}
    assert digest == {*draw("model=gru", "probe=none", "trainer.checkpoint=null").arms}
    assert digest.isdisjoint(draw("model=gru", "trainer.max_updates=7").arms)


def test_arms_whose_runs_would_be_the_same_are_one_and_the_plan_names_both(draw):
    plan = draw(arms=[{"model": "gru", "probe": ["end", "none"]}, {"model": "lstm"}, {"model": "lstm"}])
    assert labels(plan) == ["model=gru probe=end", "model=lstm"]
    assert plan.describe_twins() == [
        "'model=gru probe=end' and 'model=gru probe=none' would train the same runs: they are one arm."
    ]
    assert OmegaConf.create(plan.describe()).twins == {"gru": ["model=gru probe=none"]}
    assert len(plan) == 2
    spelled = draw("bptt.k2=5", arms=[{"bptt.k1": ["null", 5, 1]}])
    assert [arm.twins for arm in spelled.arms.values()] == [("bptt.k1=5",), ()]


def test_the_command_line_compares_choices_and_tunes_intervals(draw):
    plan = draw("model=elman,lstm", "optimizer.lr=tag(log,interval(1e-3,1e-1))", "seed=7,8", "trainer.max_updates=9")
    assert labels(plan) == ["model=elman", "model=lstm"]
    assert plan.search == {"optimizer.lr": Dimension("optimizer.lr", 1e-3, 1e-1, log=True)}
    assert plan.seeds == [7, 8]
    assert plan.fixed == ["trainer.max_updates=9"]


def test_what_is_typed_selects_among_the_arms_that_have_it(draw):
    arms = [{"model": ["elman", "lstm"], "optimizer.lr": 0.1}, {"model": "gru", "optimizer.lr": 0.2}]
    assert labels(draw("model=gru", arms=arms)) == ["model=gru optimizer.lr=0.2"]
    assert labels(draw("model=lstm,gru", arms=arms)) == ["model=lstm optimizer.lr=0.1", "model=gru optimizer.lr=0.2"]


def test_what_is_typed_replaces_values_that_no_arm_has(draw):
    arms = [{"model": ["elman", "lstm"], "optimizer.lr": 0.1}]
    assert labels(draw("optimizer.lr=0.5", arms=arms)) == [
        "model=elman optimizer.lr=0.5",
        "model=lstm optimizer.lr=0.5",
    ]


def test_a_search_gives_every_arm_the_same_trials_and_its_winner_fresh_seeds(draw):
    plan = draw(arms=[{"model": ["elman", "lstm"]}], search={"optimizer.lr": "interval(0.1,1)"}, trials=4, seeds=[0, 1])
    cells = list(plan.cells())
    assert len(plan) == 2 * (4 + 2)
    assert [sum(cell.arm == arm for cell in cells) for arm in plan.arms] == [4, 4]
    assert {cell.seed for cell in cells} == {SEARCH_SEED}
    assert [cell.seed for cell in plan.confirmation(cells[0].arm, winner=3)] == [0, 1]


def test_a_tuned_key_may_exist_in_some_arms_only_but_in_one_at_least(draw):
    search = {"clip.threshold": "interval(0.1,1)"}
    assert len(draw(arms=[{"clip": ["none", "norm"]}], search=search).arms) == 2
    assert len(draw(search=search | {"clip": "choice(none,norm)"}).arms) == 1
    with pytest.raises(ConfigError, match=r"sweep\.search\.clip\.threshold: no arm"):
        draw(arms=[{"clip": "none"}], search=search)


def test_options_that_are_composed_one_by_one_are_what_hydra_makes_of_all(composer, monkeypatch):
    asked, by_hydra = [], composer._choices.by_hydra

    def counted(given):
        asked.append(given)
        return by_hydra(given)

    monkeypatch.setattr(composer._choices, "by_hydra", counted)
    parts = product(("language_bible_char", "forecasting_stocks"), ("lstm", "elman"), ("norm", "none"))
    composed = [composer.compose([f"task={t}", f"model={m}", f"clip={c}", "seed=3"]) for t, m, c in parts]
    assert len(asked) == 4  # as it stands, and with each of the three that it has not
    together = ["task=language_bible_char", "model=lstm", "clip=norm", "seed=3", "trainer.progress_bar=false"]
    assert composed[0] == by_hydra(together).config
    assert [*composed[0]] == [*by_hydra(together).config]
    assert composed[-1].loss.name == "mse"
    assert composed[0].loss.name == "cross_entropy"
    for typed in (["task=language_bible_char", "loss=mse"], ["loss=mse", "task=language_bible_char"]):
        assert composer.compose(typed).loss.name == "mse"  # what is typed, not what the task brings


def test_a_key_exists_even_if_it_is_null(composer):
    assert exists(composer.compose([]), "bptt.k2")
    assert not exists(composer.compose([]), "clip.threshold")
    assert not exists(composer.compose([]), "nothing.at.all")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["modle=elman,lstm"], "modle: no such key; did you mean 'model'"),
        (["model=elman,lstn"], "model = 'lstn': no such option; did you mean 'lstm'"),
        (["bptt.k1=9", "bptt.k2=5,10"], "k1=9 must not exceed k2=5"),
        (["optimizer.lr=interval(-1,1)"], r"optimizer.lr = -1.0"),
        (["slug=a,b"], "slug: has one value for the whole sweep"),
    ],
)
def test_an_arm_that_cannot_run_is_refused_before_any_does(draw, arguments, words):
    with pytest.raises(ConfigError, match=words):
        draw(*arguments)


@pytest.mark.parametrize("key", ["seed", "slug", "sweep.workers", "tracking.uri"])
def test_what_every_arm_shares_is_no_arm(draw, key):
    with pytest.raises(ConfigError, match=key):
        draw(arms=[{key: [1, 2]}])


def test_arms_are_named_by_what_tells_them_apart(draw):
    arms = [{"task": "forecasting_stocks", "model": ["elman", "gru"], "optimizer.lr": [0.1, 0.2]}]
    assert list(draw(arms=arms).names.values()) == ["elman lr=0.1", "elman lr=0.2", "gru lr=0.1", "gru lr=0.2"]


def test_a_grid_with_a_name_gives_it_to_its_arms(draw):
    arms: list[dict[str, Any]] = [
        {"name": "plain", "clip": "none"},
        {"name": "clipped", "clip": "norm", "clip.threshold": [0.1, 1]},
    ]
    plan = draw(arms=arms)
    assert labels(plan) == list(plan.names.values()) == ["plain", "clipped threshold=0.1", "clipped threshold=1"]
    assert {*plan.arms} == {*draw(arms=[{k: v for k, v in grid.items() if k != "name"} for grid in arms]).arms}


@pytest.mark.parametrize("name", ["tanh, no clip", "K = 5", "LSTM (1997)", "50%", "a  b", "ünits"])
def test_a_name_is_the_text_that_stands_in_the_file(draw, name):
    assert list(draw(arms=[{"name": name, "model": "gru"}]).names.values()) == [name]


@pytest.mark.parametrize("name", [["a", "b"], "", " ", {"a": 1}])
def test_a_name_that_is_no_text_is_refused(draw, name):
    with pytest.raises(ConfigError, match=r"sweep\.arms\.name = .*: one text, which names the arms"):
        draw(arms=[{"name": name, "model": "gru"}])


def test_a_tuned_key_that_a_trial_does_not_have_is_absent_from_it(draw, composer):
    search = {"clip": "choice(none,norm)", "clip.threshold": "interval(0.1,1)", "optimizer.lr": "interval(0.1,1)"}
    plan, study = draw(search=search), optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    seen = set()
    for cell in [next(plan.cells())] * 6:
        trial = study.ask()
        overrides = sample(plan, cell, trial, composer)
        clipped = trial.params["clip"] == "norm"
        assert ("clip.threshold" in trial.params) == clipped == any("clip.threshold=" in o for o in overrides)
        assert exists(composer.compose(overrides), "clip.threshold") == clipped
        assert "optimizer.lr" in trial.params
        seen.add(clipped)
    assert seen == {True, False}


def test_what_is_typed_of_the_sweep_itself_reaches_every_run(composer):
    master = composer._choices._master
    master.sweep.bad_verdicts = 3
    assert composer.compose(["model=gru"]).sweep.bad_verdicts == 3


def test_winners_are_confirmed_on_fresh_seeds(draw):
    with pytest.raises(ConfigError, match=r"sweep\.seeds: 1000"):
        draw(search={"optimizer.lr": "interval(0.1,1)"}, seeds=[0, SEARCH_SEED])
    assert draw(seeds=[0, SEARCH_SEED]).seeds == [0, SEARCH_SEED]


def test_every_trial_of_a_search_has_the_same_budget(draw):
    with pytest.raises(ConfigError, match=r"sweep\.search\.trainer\.max_updates: every trial"):
        draw(search={"trainer.max_updates": "range(10,100)"})
    with pytest.raises(ConfigError, match=r"sweep\.search\.trainer\.max_updates: every trial"):
        draw("trainer.max_updates=interval(10,100)")


def test_a_plan_lists_the_budget_of_every_arm_and_how_many_runs_there_are(draw):
    arms = [{"model": ["elman", "lstm"]}, {"model": "gru", "trainer.max_updates": "null", "trainer.max_steps": 5000}]
    plan = OmegaConf.create(draw(arms=arms, search={"optimizer.lr": "tag(log,interval(0.1,1.0))"}).describe())
    assert [arm.budget for arm in plan.arms.values()] == [
        "1,000 updates, 1,920,000 steps",
        "1,000 updates, 1,920,000 steps",
        "3 updates, 5,000 steps",
    ]
    assert plan.search == {"optimizer.lr": "0.1 to 1.0, log"}
    assert plan.runs == 3 * (3 + 1)


def test_an_objective_is_a_direction_and_a_measure_of_the_task_and_there_is_one(draw):
    plan = draw(search={"optimizer.lr": "interval(0.1,1)"})

    def found(objective: Any) -> str:
        return find_direction(SweepConfig(**(PLAIN | {"objective": objective})), plan)

    assert found(None) == "minimize"  # RMSE
    assert found("maximize skill/val") == "maximize"
    with pytest.raises(ConfigError, match=r"'rsme/val': task=forecasting_stocks .* did you mean 'rmse/val'"):
        found("minimize rsme/val")
    for wrong, words in (
        ("skill/val", "a direction and a measure"),
        (["minimize rmse/val", "minimize loss/val"], "one"),
    ):
        with pytest.raises(ValidationError, match=words):
            found(wrong)


def test_trials_over_several_seeds_have_seeds_that_no_winner_gets(draw: Draw) -> None:
    search = {"optimizer.lr": "interval(0.1, 1)"}
    plan = draw(search=search, search_seeds=3, seeds=[0, 1])
    assert [plan.seeds_of(cell) for cell in plan.cells()] == [[SEARCH_SEED, SEARCH_SEED + 1, SEARCH_SEED + 2]] * 3
    assert plan.runs == 3 * 3 + 2
    assert "search_seeds: 3" in plan.describe()
    (arm,) = plan.arms
    assert [plan.seeds_of(cell) for cell in plan.confirmation(arm, 0)] == [[0], [1]]
    with pytest.raises(ConfigError, match=f"sweep.seeds: {SEARCH_SEED + 2} is a seed of search trials"):
        draw(search=search, search_seeds=3, seeds=[SEARCH_SEED + 2])


def test_one_seed_a_trial_is_the_same_arm_as_ever_and_more_are_another(draw: Draw, composer: Composer) -> None:
    search = {"optimizer.lr": "interval(0.1, 1)"}
    typed = compose("train", ["sweep.search_seeds=2"], return_hydra_config=True)  # a run's configuration has it too
    section = SweepConfig(**(PLAIN | {"search": search, "search_seeds": 2}))
    two = build_plan(section, [], Composer(GlobalHydra.instance().config_loader(), typed))
    one = draw(search=search)
    assert one.arms.keys() != two.arms.keys()
    assert not any("search_seeds" in key for arm in one.arms.values() for key in arm.definition)
