"""Make the runs of every committed experiment and rebuild what is written from them: `make findings [ARGS="slug ..."]`.

Runs that are there are not made again, so the same command goes on after an interruption. How a sweep is run may follow
the slugs, such as `hydra/launcher=slurm_array`; what it runs is the experiment's file alone.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from study.errors import UNUSABLE, ConfigError
from study.findings.pages import README, listed, pictures, with_table
from study.report import RESULTS
from study.reproduce.experiments import add_folder, chosen
from study.terminal import interruptible, say

HOW = re.compile(r"hydra/launcher|hydra\.launcher\..*|sweep\.(workers|failures|storage)|sweep|tracking")
"""Keys that change where and by what runs are made, and no run."""


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Run, copy, write; return the exit code: that of the first sweep that failed, else 0."""
    given = _parser().parse_args(arguments)
    overrides = [word for word in given.words if "=" in word]
    try:
        _refuse_changes(overrides)
        slugs = chosen(given.folder, [word for word in given.words if "=" not in word], README)
        for number, slug in enumerate(slugs, 1):
            if not given.tables:
                say(f"{number} of {len(slugs)}: {slug}")
                if code := _make(given.folder / slug, overrides):
                    return code
        texts = {given.folder / slug / README: with_table(given.folder / slug) for slug in slugs}
        texts[given.folder / README] = listed(given.folder)
    except ConfigError as error:
        say(f"The findings cannot be made:\n{error}", sys.stderr)
        return UNUSABLE
    for path, text in texts.items():  # all of them, or none
        path.write_text(text)
    say(f"The answers are in {given.folder / README}")
    return 0


def _refuse_changes(overrides: Sequence[str]) -> None:
    """Refuse what would put the results of another experiment into an experiment's folder."""
    for override in overrides:
        if not HOW.fullmatch(key := override.partition("=")[0]):
            raise ConfigError(
                f"{override}: {key} may change what is run, which stands in conf/experiment/<slug>.yaml; allowed: "
                "hydra/launcher, hydra.launcher.*, sweep, sweep.workers, sweep.failures, sweep.storage, tracking"
            )


def _make(folder: Path, overrides: Sequence[str]) -> int:
    """Sweep an experiment, and take over from its report what is committed; return the exit code of the sweep.

    Raises:
        ConfigError: its README shows a picture that the report does not make and that is not there either.
    """
    command = [sys.executable, "-m", "study.sweep", f"experiment={folder.name}", *overrides]
    if code := subprocess.run(command, check=False).returncode:
        return code
    report = Path("outputs", folder.name, "report")
    shutil.copy(report / RESULTS, folder / RESULTS)
    for name in pictures(folder):
        if (drawn := report / "figures" / name).is_file():
            shutil.copy(drawn, folder / name)
        elif (folder / name).is_file():
            say(f"{folder / name} stays as it is: the report draws no picture of this name")
        else:
            raise ConfigError(f"{folder / README} shows {name}, which {report / 'figures'} does not have")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m study.findings", description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="experiments, default all; and how their sweeps are run")
    parser.add_argument("--tables", action="store_true", help="make no runs: rebuild tables from each results.csv")
    add_folder(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
