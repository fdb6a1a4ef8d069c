"""Uncommitted changes, as a run keeps them: the source that it is made of, and no other file of the folder.

What lies in `study/` and `conf/`, and what this process has imported from elsewhere in the checkout, is copied; other
tracked files that differ are named. A file with a line that looks like a secret is left out and named with the reason:
without its line the patch would be of another program.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from study.installation import CHECKOUT
from study.masking import revealed

PROGRAM = ("study", "conf")
"""The folders of the program; what changes there may change a run."""
PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
"""Options of `git diff` that make a patch `git apply` takes, whatever the user has configured."""
LARGEST = 1_000_000
"""Most characters of uncommitted changes that are kept."""
FILE = re.compile(r'^diff --git "?a/.* "?b/(.*?)"?$', re.M)
"""How the patch of one file starts."""


@dataclass(frozen=True)
class Changes:
    """What differs from the commit.

    Attributes:
        patch: for `git apply` on the commit; empty if there is none.
        withheld: files of the program that are not in it, each with the reason.
        others: names of changed files that are not of the program.
    """

    patch: str = ""
    withheld: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The patch after what is not in it, in lines that `git apply` passes over."""
        notes = [f"# not kept, it looks like it holds a secret: {file}" for file in self.withheld]
        notes += [f"# changed too, and no source of the run: {', '.join(self.others)}"] if self.others else []
        return "".join(f"{note}\n" for note in notes) + self.patch

    @property
    def warnings(self) -> list[str]:
        """What a person should know who wants these changes kept, a sentence a file."""
        why = "this looks like a secret, so the changes of the file are not kept, and nobody else can make the code of "
        return [f"{file}: {why}these runs" for file in self.withheld]


@lru_cache
def changes(root: Path | None = CHECKOUT) -> Changes:
    """Uncommitted changes, new source files included; a patch longer than `LARGEST` is replaced by names."""
    if root is None:
        return Changes()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")  # a copy: naming new files would change the user's own
        staged = root / git(root, "rev-parse", "--git-path", "index").strip()
        if not staged.is_file():
            return Changes()
        shutil.copy(staged, index)
        imported, new = _imported(root), git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
        used = [name for name in new if name in imported or _is_source(root, name)]
        listed = ["add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"]
        git(root, *listed, stdin="\0".join(used), index=index)
        changed = git(root, "diff", "--name-only", "-z", "HEAD", index=index).split("\0")[:-1]
        own = [name for name in changed if name.partition("/")[0] in PROGRAM or name in imported]
        patch = git(root, "diff", *PLAIN, "--binary", "HEAD", "--", *map(_exactly, own), index=index) if own else ""
        others = tuple(name for name in changed if name not in own)
        if len(patch) > LARGEST:
            short = git(root, "diff", "--stat", "HEAD", "--", *map(_exactly, own), index=index)
            return Changes(f"{len(patch)} characters, too many to keep:\n{short}", (), others)
    return _screened(patch, others)


def _exactly(name: str) -> str:
    """A name as git's pathspec, whatever letters it has."""
    return f":(literal){name}"


def _screened(patch: str, others: tuple[str, ...]) -> Changes:
    """The patch without the files that have a line which looks like a secret, whether new, old or around a change."""
    kept, withheld = [], []
    for part in re.split("^(?=diff --git )", patch, flags=re.M)[1:]:
        if reasons := dict.fromkeys(why for _, why in revealed(re.sub(r"^[-+ ]", "", part, flags=re.M))):
            withheld.append(f"{FILE.findall(part)[0]} ({', '.join(reasons)})")
        else:
            kept.append(part)
    return Changes("".join(kept), tuple(withheld), others)


def _imported(root: Path) -> set[str]:
    """The files of the checkout that this process has imported, beside those of packages installed in it."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    inside = {Path(file) for file in files if file and Path(file).is_relative_to(root)}
    return {file.relative_to(root).as_posix() for file in inside if "site-packages" not in file.parts}


def _is_source(root: Path, name: str) -> bool:
    """Whether a new file is of the program: an option of a group, or a module that another one names."""
    folders = Path(name).parts[:-1]
    if folders[:1] == ("conf",):
        return len(folders) > 1 and name.endswith(".yaml")
    program = folders[:1] == ("study",) and name.endswith(".py")
    return program and any(_names(text, name) for text in _sources(root, name))


def _names(text: str, name: str) -> bool:
    """Whether a source imports a module, or names it by its address as registries do."""
    module = name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    package, _, last = module.rpartition(".")
    return module in text or bool(re.search(rf"^\s*from {re.escape(package)} import .*\b{last}\b", text, re.M))


def _sources(root: Path, but: str) -> Iterator[str]:
    files = (file for file in (root / "study").rglob("*.py") if file != root / but)
    return (file.read_text(encoding="utf-8", errors="replace") for file in files)


def git(root: Path, *arguments: str, stdin: str = "", index: Path | None = None) -> str:
    """Output of a git command; empty outside a checkout or without git. Bytes that are not UTF-8 survive."""
    if shutil.which("git") is None:
        return ""
    env = {**os.environ, **({"GIT_INDEX_FILE": str(index)} if index else {})}
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", *arguments], cwd=root, env=env, input=stdin, capture_output=True,
        check=False, encoding="utf-8", errors="surrogateescape",
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else ""
