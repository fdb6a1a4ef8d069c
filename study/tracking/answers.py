"""Answers to questions about runs, as runs of their own: the run that was asked stays as it was."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from study.disk import reason
from study.errors import ConfigError
from study.tracking.client import client_of
from study.tracking.reader import Logged, search

Question = Literal["what-if", "autopsy", "fork", "why"]
QUESTIONS: tuple[str, ...] = get_args(Question)
FROM, AT, TREATMENT = "forked_from", "forked_at", "treatment"
"""Tags of a fork: the run it continues, after which update, and the overrides that make it another one."""
FOLDER = "answer"
"""Where an answer keeps its page, figures and tables, among its artifacts."""


def keep(
    about: Logged, question: Question, sentence: str, folder: Path, tags: Mapping[str, str], nested: bool = True
) -> str:  # fmt: skip
    """Write an answer into the store of the run that was asked.

    Args:
        about: that run; of a question to an experiment one of its runs.
        question: that was asked; the tag `kind` of the answer.
        sentence: the answer, its description.
        folder: with its page.
        tags: more of them.
        nested: the answer stands under that run.

    Returns:
        Its MLflow run id.

    Raises:
        ConfigError: the store does not take it.
    """
    under = {MLFLOW_PARENT_RUN_ID: about.run_id, "asked": about.run_id} if nested else {}
    named = {MLFLOW_RUN_NAME: f"{question} of {about.started_as}" if nested else question, MLFLOW_RUN_NOTE: sentence}
    client = client_of(about.uri)
    about.refuse_elsewhere()
    try:
        run = client.create_run(about.experiment, tags={**tags, **named, **under, "kind": question}).info.run_id
        client.log_artifacts(run, str(folder), FOLDER)
        client.set_terminated(run)
    except (MlflowException, OSError) as error:
        raise ConfigError(f"{folder} is written, but {about.uri} does not take it: {reason(error)}") from error
    return str(run)


def forked_at(run: Logged) -> int:
    """The last update that a run has in common with the one that it forks; 0: it forks none.

    Raises:
        ConfigError: its tag is no number of an update.
    """
    text = run.tags.get(AT, "0")
    if not re.fullmatch("[0-9]{1,12}", text):
        raise ConfigError(f"run {run.run_id}: its tag {AT} = {text!r} is no number of an update")
    return int(text)


def given(run: Logged) -> list[Logged]:
    """The answers to all questions about a run, forks among them, the oldest first."""
    nested = search(run.uri, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.run_id}'")
    return [found for found in nested if found.tags.get("kind") in QUESTIONS]


def sentence(answer: Logged) -> str:
    """What an answer says, in one sentence."""
    return answer.tags.get(MLFLOW_RUN_NOTE, "").replace("**", "")
