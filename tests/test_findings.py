"""What stands under `experiments/` is what its runs gave: tables from results.csv, a list from the READMEs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from study.errors import UNUSABLE
from study.findings.__main__ import main
from study.findings.committed import comparisons
from study.findings.pages import CLOSES, OPENS, folders, listed, pictures, with_table
from study.findings.tables import MOST, markdown
from study.installation import CONF

ROOT = CONF.parent / "experiments"
NUMBER = r"\d*\.\d+"
SLUGS = [folder.name for folder in folders(ROOT)]
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
FULL = [name for name in EXPERIMENTS if name.endswith("_full")]
"""Experiments in the size of their sources, which are no questions of their own."""
HEADER = (
    "run_id,task,family,counts,arm,seed,outcome,ending,verdict,solved,measure,value,baseline,steps,updates,seconds\n"
)
README = f"""# mine

**Question.** Is it
so?

**Answer.** It is.

**Verdict.** Partly: smaller.

{OPENS}
old
{CLOSES}
the end
"""


def rows(*values: tuple[str, int, float, str]) -> str:
    """A results.csv of one task: arm, seed, value, outcome."""
    lines = [
        f"r{n},labelling_parity,labelling,True,{arm},{seed},{outcome},{outcome},healthy,{outcome == 'solved'},accuracy,"
        f"{value},0.5,100,10,1.0"
        for n, (arm, seed, value, outcome) in enumerate(values)
    ]
    return HEADER + "\n".join(lines) + "\n"


FOUR = rows(
    ("gru", 0, 1.0, "solved"),
    ("gru", 1, 0.98, "solved"),
    ("elman", 0, 0.5, "completed"),
    ("elman", 1, 0.52, "completed"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One experiment in a folder of experiments."""
    made = tmp_path / "mine"
    made.mkdir()
    (made / "README.md").write_text(README)
    (made / "results.csv").write_text(FOUR)
    return made


def rounds_to(number: float, said: str) -> bool:
    """Whether a number, rounded to as many decimals, is the one that is said."""
    return abs(number - float(said)) <= 0.501 * 10.0 ** -len(said.partition(".")[2])


@pytest.mark.parametrize("slug", SLUGS)
def test_the_table_of_every_readme_is_that_of_its_results(slug: str) -> None:
    assert (ROOT / slug / "README.md").read_text() == with_table(ROOT / slug), "make findings ARGS=--tables"


@pytest.mark.parametrize("slug", SLUGS)
def test_every_number_of_an_answer_stands_in_its_table(slug: str) -> None:
    text = (ROOT / slug / "README.md").read_text()
    answer = text.partition("**Answer.**")[2].partition("**Verdict.**")[0]
    table = text.partition(OPENS)[2].partition(CLOSES)[0]
    there = {float(number) for number in re.findall(NUMBER, table)}
    assert not [said for said in re.findall(NUMBER, answer) if not any(rounds_to(number, said) for number in there)]


@pytest.mark.parametrize("slug", SLUGS)
def test_every_picture_of_a_readme_is_there(slug: str) -> None:
    assert not [name for name in pictures(ROOT / slug) if not (ROOT / slug / name).is_file()]


def test_the_list_of_experiments_is_that_of_their_readmes() -> None:
    assert (ROOT / "README.md").read_text() == listed(ROOT), "make findings ARGS=--tables"


def test_every_experiment_has_a_file_a_folder_and_a_row() -> None:
    assert sorted(set(EXPERIMENTS) - set(FULL)) == SLUGS


@pytest.mark.parametrize("name", FULL)
def test_an_experiment_in_the_size_of_its_source_is_a_change_of_the_one_whose_readme_names_its_command(
    name: str,
) -> None:
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    of = name.removesuffix("_full")
    assert f"defaults:\n  - {of}\n" in text
    said = (ROOT / of / "README.md").read_text().partition("**Full size.**")[2].partition("\n\n")[0]
    assert f"`make sweep EXPERIMENT={name}`" in said


def test_a_table_shows_means_differences_and_how_many_runs_solved_the_task(folder: Path) -> None:
    table = markdown(comparisons(folder / "results.csv")).splitlines()
    assert table[0] == "`labelling_parity`, 2 arms, 2 seeds:"
    gru, elman, guess = (re.split(r" *\| *", line)[1:-1] for line in table[4:7])
    assert gru[:2] == ["gru", "0.99 ± 0.13"]  # 12.71 times 0.01; an accuracy ends at 1, so the longer side
    assert (gru[2], gru[3]) == ("-", "2 of 2 (34% to 100%)")
    assert elman[0] == "elman"
    assert elman[2].startswith("0.48 ± ")
    assert elman[3] == "0 of 2 (0% to 66%)"
    assert guess[:2] == ["*naive guess*", "0.5"]


def test_more_arms_than_a_reader_takes_in_are_counted_by_their_ends(folder: Path) -> None:
    many = [(f"arm {n}", 0, 0.5, "completed" if n else "ruined") for n in range(MOST + 1)]
    (folder / "results.csv").write_text(rows(*many))
    assert markdown(comparisons(folder / "results.csv")).endswith(f"| completed | {MOST} |\n| ruined | 1 |")


def test_the_command_writes_table_and_list_and_a_second_time_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["--tables", "--folder", str(folder.parent)]) == 0
        text = (folder / "README.md").read_text()
        assert "old" not in text
        assert "| gru | " in text
        assert text.endswith("the end\n")
        last = (folder.parent / "README.md").read_text().splitlines()[-1]
        assert last == "| [mine](mine/README.md) | Is it so? | It is. | partly | `make findings ARGS=mine` |"
    assert capsys.readouterr().out.endswith(f"The answers are in {folder.parent / 'README.md'}\n")


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("README.md", OPENS, "", "no lines '<!-- table"),
        ("README.md", "Partly", "Perhaps", "verdict 'perhaps' is none of agrees, partly,"),
        ("README.md", "**Answer.**", "Answer:", "no paragraph that begins with **Answer.**"),
        ("results.csv", "True,gru", "False,gru", ""),
        ("results.csv", "labelling,True", "labelling,False", "no row that counts"),
        ("results.csv", "accuracy", "beauty", "measure 'beauty' of labelling_parity is none of"),
    ],
)
def test_what_cannot_be_written_is_named_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, words: str
) -> None:
    (folder / file).write_text((folder / file).read_text().replace(old, new))
    before = (folder / "README.md").read_text()
    code = main(["--tables", "--folder", str(folder.parent)])
    if words:
        assert code == UNUSABLE
        assert words in capsys.readouterr().err
        assert (folder / "README.md").read_text() == before
        assert not (folder.parent / "README.md").exists()
    else:  # runs that do not count are left out
        assert "gru" not in (folder / "README.md").read_text()


def test_a_slug_that_is_not_there_is_answered_with_those_that_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--tables", "--folder", str(folder.parent), "mein"]) == UNUSABLE
    assert "'mein': no such experiment; did you mean 'mine'? (there are: mine)" in capsys.readouterr().err


def test_what_would_change_what_is_run_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for override in ("trainer.max_updates=3", "slug=other", "sweep.seeds=[0]", "hydra.sweep.dir=elsewhere"):
        assert main(["--folder", str(folder.parent), "mine", override]) == UNUSABLE
        assert f"{override}: {override.partition('=')[0]} may change what is run" in capsys.readouterr().err


def test_where_and_by_whom_runs_are_made_goes_to_every_sweep_as_it_was_typed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "other")
    for slug in ("mine", "other"):
        shutil.copytree(folder, tmp_path / "outputs" / slug / "report")
    typed = ["hydra/launcher=slurm_array", "hydra.launcher.partition=cpu", "sweep.workers=32", "sweep=shared"]
    made: list[list[str]] = []
    monkeypatch.chdir(tmp_path)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        made.append(command[1:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(["--folder", str(tmp_path), *typed]) == 0
    assert made == [["-m", "study.sweep", f"experiment={slug}", *typed] for slug in ("mine", "other")]


def test_pictures_of_the_report_are_taken_over_and_one_that_nobody_draws_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "outputs" / "mine" / "report" / "figures"
    figures.mkdir(parents=True)
    (figures / "new.svg").write_text("new")
    (figures.parent / "results.csv").write_text(FOUR)
    (folder / "README.md").write_text(f"{README}![a](new.svg) ![b](own.png)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    assert main(["--folder", str(folder.parent), "mine"]) == UNUSABLE
    assert "shows own.png, which outputs/mine/report/figures does not have" in capsys.readouterr().err
    (folder / "own.png").write_text("own")
    assert main(["--folder", str(folder.parent), "mine"]) == 0
    assert "own.png stays as it is" in capsys.readouterr().out
    assert [(folder / name).read_text() for name in ("new.svg", "own.png")] == ["new", "own"]


def test_exponents_have_columns_where_runs_have_them(folder: Path) -> None:
    head, *runs = FOUR.splitlines()
    ends = {"gru": ",-0.5,0.01", "elman": ",-0.25,"}
    lines = [f"{head},lyapunov_start,autonomous", *(f"{run}{ends[run.split(',')[4]]}" for run in runs)]
    (folder / "results.csv").write_text("\n".join(lines))
    heads, _, gru, elman, guess = markdown(comparisons(folder / "results.csv")).splitlines()[2:7]
    assert heads.endswith("| exponent at the start | autonomous exponent |")
    assert gru.endswith("| -0.5000 ± 0.0000 | 0.01000 ± 0.00000 |")
    assert elman.endswith("| -0.2500 ± 0.0000 | - |")
    assert guess.count("|") == heads.count("|")
