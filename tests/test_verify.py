"""The page that convinces a sceptic convinces us first."""

import pytest

from study.verify import __main__ as verify
from study.verify.check import Check, Truth


@pytest.mark.parametrize("truth", verify.TRUTHS)
def test_every_measure_meets_its_truth(truth: Truth) -> None:
    checks = list(truth())
    assert checks
    for check in checks:
        assert check.holds, check


def test_an_error_beyond_the_tolerance_or_nan_is_shown_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [Check("a", "b", 1.0, 1.1, 0.01), Check("a", "b", 1.0, float("nan"), 0.01)]
    assert not any(check.holds for check in wrong)
    monkeypatch.setattr(verify, "TRUTHS", [lambda: iter(wrong)])
    with pytest.raises(SystemExit) as stop:
        verify.main()
    assert stop.value.code == 1
    assert capsys.readouterr().out.count("WRONG") == 2
