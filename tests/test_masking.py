"""What a secret looks like, and what does not: false alarms would withhold code and refuse runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from study import addresses, masking
from study.command.start import refuse_secrets
from study.errors import ConfigError
from study.installation import CONF, SILENT
from study.schema import Config

SECRETS = [
    "password = 'hunter2'",
    "password: swordfish",
    "export MY_TOKEN=abcdef1234567890abcd",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYq9Lm2Zt8Qw",
    "x = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'",
    "x = 'wJalrXUtnFEMI7K7MDENG9bPxRfiCYq9Lm2Zt8Qw'",
    "-----BEGIN RSA PRIVATE KEY-----",
    "url = https://me:t0ken@github.com/me/x",
    "postgresql://me@db/x?sslpassword=abc&x=1",
]
PLAIN = [
    "token = '<unk>'",
    "tokens = self.token(x)",
    "password = os.environ['DB_PASSWORD']",
    "def open(password: str, x=1):",
    "secrets: Mapping[str, str]",
    "commit = '0b8cd51d7c5f3a1e0b8cd51d7c5f3a1e0b8cd51d'",
    "digest: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
    "path = '/home/me/data/run_2026-11-30/AAPL.csv'",
    "name = 'ConvLSTM2dPeephole_v2_final'",
    "seed: 12345678901234567890",
    "http://127.0.0.1:5000/#/experiments/1@x",
    "password = 'hunter2'  # pragma: allowlist secret",
    "secret_rate = 0.5",
    "bearer_dim=1e-3",
    "slug=sk-sequence-knowledge-graphs",
    "postgresql://db:5432?options=a@b",
]
LONG = ["x", "secret", "a://b:c/", "eyJ-", "-----BEGIN PRIVATE KEY-----", "password=", "password ", "&x.token", "'"]


@pytest.mark.parametrize("line", SECRETS)
def test_a_line_with_a_secret_is_found_and_masked(line: str) -> None:
    assert list(masking.revealed(line))
    assert "***" in masking.masked(line) or masking.drawn(line.split("'")[1])


@pytest.mark.parametrize("line", PLAIN)
def test_a_line_without_one_is_not(line: str) -> None:
    assert not list(masking.revealed(line))


@pytest.mark.parametrize("part", LONG)
def test_a_long_text_costs_a_time_that_grows_with_its_length(part: str) -> None:
    """Half a minute each, where it grows as the square."""
    assert len(masking.masked(part * (40_000 // len(part)))) <= 45_000


def test_only_whole_words_of_a_variable_are_masked_and_no_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "postgres")  # pragma: allowlist secret
    monkeypatch.setenv("PWD", "C:/Users/me")
    monkeypatch.setenv("DB_PWD", "hunter21")
    assert masking.masked("postgresql://db: C:/Users/me/a.csv") == "postgresql://db: C:/Users/me/a.csv"
    assert masking.masked("postgres said hunter21.") == "*** said ***."


def test_the_source_of_this_project_raises_no_alarm() -> None:
    files = [*CONF.rglob("*.yaml"), *(CONF.parent / "study").rglob("*.py")]
    telling = [file for file in files if "password" in (text := file.read_text()).lower() or "token" in text]
    assert {str(file): found for file in telling if (found := list(masking.revealed(file.read_text())))} == {}


def test_an_address_comes_back_whole_where_it_is_opened_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(masking.KEPT, raising=False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    typed = "postgresql+psycopg://me:p%40ss:word@db:5432/runs?sslpassword=0pen"  # pragma: allowlist secret
    kept = addresses.keep(f"tracking.uri={typed}").partition("=")[2]
    assert kept == "postgresql+psycopg://me:***@db:5432/runs?sslpassword=***"
    assert addresses.keep(kept) == kept
    assert addresses.whole(kept) == typed
    assert str(ConfigError(f"{typed}: no p%40ss:word, no p@ss:word")) == f"{kept}: no ***, no ***"
    assert addresses.whole("sqlite:////home/a@b/c.db") == "sqlite:////home/a@b/c.db"


def test_an_address_whose_password_is_in_no_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(masking.KEPT, raising=False)
    with pytest.raises(ConfigError, match="its password is kept nowhere"):
        addresses.whole("postgresql+psycopg://me:***@db/trials")
    monkeypatch.setenv("STUDY_DATABASE", "me:hidden1@db/trials")
    assert addresses.whole("postgresql+psycopg://me:***@db/trials") == "postgresql+psycopg://me:hidden1@db/trials"


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("trainer.callbacks", {"class": "my.Notify", "api_key": "abc123xyz"}, "trainer.callbacks.api_key"),
        ("hydra.job.env_set", {"HUB_TOKEN": "hf_0123456789abcdefghijABCDEFGHIJ"}, "hydra.job.env_set.HUB_TOKEN"),
        ("tracking.uri", "postgresql://me:pw@db/x", "an address with a password"),  # pragma: allowlist secret
        ("model.options.code", "wJalrXUtnFEMI7K7MDENG9bPxRfiCYq9Lm2Zt8Qw", "drawn at random"),
    ],
)
def test_what_a_record_would_keep_whole_is_refused_with_its_key(
    key: str, value: object, why: str, configure: Callable[..., Config]
) -> None:
    written = OmegaConf.create({})
    OmegaConf.update(written, key, [value] if key == "trainer.callbacks" else value)
    with pytest.raises(ConfigError, match=why):
        refuse_secrets(written, configure())


def test_a_file_of_ones_own_with_a_key_in_it_is_refused_with_its_line(
    folder: Path, configure: Callable[..., Config]
) -> None:
    file = folder / "cell.py"
    nothing, own = OmegaConf.create({}), ("model=own", f"model.file={file}")
    refuse_secrets(nothing, configure(*own))
    lines = len(file.read_text().splitlines())
    file.write_text(file.read_text() + "API_KEY = 'abc123'\n")
    with pytest.raises(ConfigError, match=rf"model.py, line {lines + 1}: .*a value of API_KEY"):
        refuse_secrets(nothing, configure(*own))


def test_every_door_sets_what_keeps_libraries_from_reporting_and_leaves_what_a_user_has_set(tmp_path: Path) -> None:
    code = "import os, study.tracking; print([os.environ[name] for name in %r])" % [*SILENT]
    env = {key: value for key, value in os.environ.items() if key not in SILENT}
    env |= {"PYTHONPATH": str(CONF.parent), "RAY_USAGE_STATS_ENABLED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout.strip() == "['true', '1']"
