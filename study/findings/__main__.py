"""Make the runs of every committed experiment and rebuild what is written from them: `make findings [ARGS="slug ..."]`.

Runs that are there are not made again, so the same command goes on after an interruption; overrides of a sweep may
follow the slugs, such as `hydra/launcher=slurm_array`.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from study.errors import UNUSABLE, ConfigError, nearest
from study.findings.pages import README, folders, listed, pictures, with_table
from study.installation import CHECKOUT
from study.report import RESULTS
from study.terminal import interruptible, say


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Run, copy, write; return the exit code: that of the first sweep that failed, else 0."""
    given = _parser().parse_args(arguments)
    overrides = [word for word in given.words if "=" in word]
    try:
        chosen = _chosen(given.folder, [word for word in given.words if "=" not in word])
        for number, folder in enumerate(chosen, 1):
            if not given.tables:
                say(f"{number} of {len(chosen)}: {folder.name}")
                if code := _made(folder, overrides):
                    return code
        texts = {folder / README: with_table(folder) for folder in chosen} | {
            given.folder / README: listed(given.folder)
        }
    except ConfigError as error:
        say(f"The findings cannot be made:\n{error}", sys.stderr)
        return UNUSABLE
    for path, text in texts.items():  # all of them, or none
        path.write_text(text)
    say(f"The answers are in {given.folder / README}")
    return 0


def _made(folder: Path, overrides: Sequence[str]) -> int:
    """Sweep an experiment, and take over from its report what is committed; return the exit code of the sweep."""
    command = [sys.executable, "-m", "study.sweep", f"experiment={folder.name}", *overrides]
    if code := subprocess.run(command, check=False).returncode:
        return code
    report = Path("outputs", folder.name, "report")
    shutil.copy(report / RESULTS, folder / RESULTS)
    for name in pictures(folder):
        shutil.copy(report / "figures" / name, folder / name)
    return 0


def _chosen(root: Path, slugs: Sequence[str]) -> list[Path]:
    known = {folder.name: folder for folder in folders(root)}
    for slug in slugs:
        if slug not in known:
            raise ConfigError(f"{slug!r}: no such experiment{nearest(slug, known)} (there are: {', '.join(known)})")
    return [known[slug] for slug in slugs or known]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m study.findings", description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="experiments, default all; and overrides of their sweeps")
    parser.add_argument("--tables", action="store_true", help="make no runs: rebuild tables from each results.csv")
    default = CHECKOUT / "experiments" if CHECKOUT else None
    parser.add_argument("--folder", type=Path, default=default, required=default is None, help="of the experiments")
    return parser


if __name__ == "__main__":
    sys.exit(main())
