"""MLflow's server for this machine alone, without its assistant: `python -m study.tracking.server STORE PORT`.

The assistant of MLflow 3.17 takes a quarter of the first page that a browser sees, and its addresses run commands on
this machine. MLflow has no switch for it: here its addresses are not there, and its panel is not drawn. All in one
process, which answers in half the time of `mlflow ui`.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn  # before MLflow, which guards its pages only where it finds a server
from mlflow import server as mlflow_server
from mlflow.server.fastapi_app import app
from mlflow.server.handlers import initialize_backend_stores

from study.errors import UNUSABLE, ConfigError
from study.terminal import say
from study.tracking.client import client_of
from study.tracking.database import locked, make_whole, refuse_other
from study.tracking.store import make_tables

Message = MutableMapping[str, Any]
ASSISTANT = "/mlflow/assistant"
"""Part of all its addresses."""
HEAD = """
<style>[data-assistant-ui] { display: none !important }</style>
<script>localStorage["mlflow.workflowType_v1"] ??= '"machine_learning"'</script>
"""
"""What leaves its panel and button out of every page, and opens the menu for training until another one is chosen."""


async def without_assistant(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer as MLflow does, and as if the assistant had no addresses."""
    if ASSISTANT not in scope.get("path", ""):
        return await app(scope, receive, send)
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body"})


def first_page() -> str:
    """MLflow's page, from which all others are drawn, with the `HEAD`."""
    page = Path(str(mlflow_server.app.static_folder), "index.html").read_text(encoding="utf-8")
    return page.replace("</head>", f"{HEAD}</head>")


def main(arguments: list[str] | None = None) -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m study.tracking.server", description=__doc__)
    parser.add_argument("store", help="a database, such as sqlite:///mlflow.db")
    parser.add_argument("port", type=int)
    parser.add_argument(
        "--artifacts", default="./mlartifacts", help="folder of artifacts sent to it; default: %(default)s"
    )
    given = parser.parse_args(arguments)
    os.environ[mlflow_server.SERVE_ARTIFACTS_ENV_VAR] = "true"  # as `mlflow ui` does by default
    os.environ[mlflow_server.ARTIFACTS_DESTINATION_ENV_VAR] = given.artifacts
    _prepare(given.store)
    initialize_backend_stores(given.store, given.store, "mlflow-artifacts:/")
    mlflow_server.app.view_functions["serve"] = first_page
    uvicorn.run(without_assistant, host="127.0.0.1", port=given.port)


def _prepare(store: str) -> None:
    """Make an empty store whole; end here where MLflow would fail on it, or make its tables among others."""
    try:
        with locked(store):
            make_whole(store, make_tables)
        refuse_other(store)
        client_of(store)
    except ConfigError as error:
        say(error, sys.stderr)
        sys.exit(UNUSABLE)


if __name__ == "__main__":
    main()
