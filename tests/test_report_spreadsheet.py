"""Files of tables: no spreadsheet runs a text of somebody, numbers stay numbers, and what is read back is the same."""

from pathlib import Path

import pandas as pd
import pytest

from study.report.data.table_files import write_csv, write_latex
from study.report.spreadsheet import guard, read_texts, unguard


@pytest.mark.parametrize(
    "text", ["=1+1", "+experiment=mine", "-x", "@SUM(A1)", "\tx", "\rx", "\nx", "-", "'=1", "''@x"]
)
def test_a_text_that_a_spreadsheet_would_run_has_an_apostrophe_before_it(text: str) -> None:
    assert guard(text) == f"'{text}"
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("text", ["-0.3", "+1e-5", "-inf", "model=elman +seed=1", "", "it's", "'quoted'"])
def test_numbers_and_other_texts_stay_as_they_are(text: str) -> None:
    assert guard(text) == text == unguard(text)


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "overrides": ["+experiment=mine", "seed=0", None],
            "value": [-0.3, 1.0, float("nan")],
            "counts": [True, False, True],
            "kind": pd.Categorical(["-a", "b", "b"]),
            "@head": [1, -2, 3],
        }
    )
    rows = read_texts(write_csv(table, tmp_path / "table.csv"))
    assert rows[0] == {"overrides": "+experiment=mine", "value": "-0.3", "counts": "True", "kind": "-a", "@head": "1"}
    assert rows[2]["overrides"] == rows[2]["value"] == ""
    back = pd.read_csv(tmp_path / "table.csv")
    assert back["value"][0] == -0.3
    assert back["overrides"][0] == "'+experiment=mine"


def test_latex_sets_what_stood_in_the_table_also_where_heads_are_the_same(tmp_path: Path) -> None:
    table = pd.DataFrame([["50 %", "a_b", "0.5 ± 0.1 & $x$"]], columns=["decay", "decay", "loss #1"])
    lines = write_latex(table, tmp_path / "table.tex").read_text().splitlines()
    assert lines[0] == r"\begin{tabular}{lll}"
    assert lines[2] == r"decay & decay & loss \#1 \\"
    assert lines[4] == r"50 \% & a\_b & 0.5 ± 0.1 \& \$x\$ \\"
