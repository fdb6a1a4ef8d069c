"""The bench of claims plans and claims as a sweep does."""

from pathlib import Path

from study.bench.claims import record


def test_two_workers_make_every_cell_once_and_the_times_of_their_claims_are_told(tmp_path: Path) -> None:
    found = record("SQLite", 20, f"sqlite:///{tmp_path}/claims.db", 2, tmp_path)
    assert (found["cells"], found["once"]) == (20, 20)
    assert found["ratio"] == found["last"] / found["first"] > 0
    assert found["planned"] > 0
