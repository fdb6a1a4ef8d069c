"""Mutants break what is there: their lines are found, and what they leave is still Python. `make mutants` runs them."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.mutants import KILLED, MUTANTS, ROOT, SURVIVES, USELESS, VERIFY, Mutant, break_, table


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.what}, {mutant.by}")
def test_a_mutant_changes_one_line_that_is_there_into_another_that_runs(mutant: Mutant, tmp_path: Path) -> None:
    copy = Path(shutil.copy(ROOT / mutant.file, tmp_path / "broken.py"))
    break_(copy, mutant)
    assert ast.dump(ast.parse(copy.read_text())) != ast.dump(ast.parse((ROOT / mutant.file).read_text()))
    assert mutant.by == VERIFY or (ROOT / mutant.by).is_file()


def test_a_line_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"'y = 1' stands 0 times in a\.py"):
        break_(tmp_path / "a.py", Mutant("wrong", "a.py", "y = 1", "y = 2", VERIFY))


def test_a_survivor_stands_out_and_is_not_counted() -> None:
    head, _, dead, alive, unknown = table(MUTANTS[:3], [KILLED, SURVIVES, USELESS])
    assert "1 of 3 killed" in head
    assert dead.endswith("`make verify` |")
    assert "survives" in alive
    assert "fails unbroken" in unknown
