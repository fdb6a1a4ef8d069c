"""The door to MLflow's UI says where the experiments are, and no more than a server tells."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from study import ui
from study.tracking import view

EXPERIMENTS = [
    {"name": "tour", "experiment_id": "7", "tags": [{"key": view.TAG, "value": "{}"}]},
    {"name": "Default", "experiment_id": "0"},
]


@pytest.fixture
def server() -> Iterator[str]:
    """Answers as MLflow does when asked for its experiments."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"experiments": EXPERIMENTS}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_of_a_running_server_every_experiment_with_a_view_is_linked(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert ui.main([]) == 0
    said = capsys.readouterr().out
    assert f"{server}/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=study" in said
    assert "Default" not in said


def test_a_server_that_does_not_answer_is_named_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert ui.main([]) == 0
    assert "The runs in http://127.0.0.1:9 are at http://127.0.0.1:9\n" in capsys.readouterr().out


def test_a_port_that_another_program_has_or_no_machine_is_refused_at_once(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    for port in (server.rpartition(":")[2], "65536"):
        assert ui.main([port]) == 2
        assert capsys.readouterr().err == f"port = {port}: no free port of this machine; choose another one\n"
    assert not list(tmp_path.iterdir())


def test_the_view_of_an_earlier_version_is_replaced_and_that_of_this_one_is_kept() -> None:
    new = view.updated({}, "rmse")
    assert view.updated(new, "rmse") == {}
    assert view.updated(new | {view.TAG: "{}"}, "rmse") == new
    assert view.updated(new, "nats")[view.MEASURES] == "rmse nats"
