"""What people mistype: strategies (hypothesis) for overrides, experiments, files, logged configurations and names.

Mostly valid inputs with a few mistakes: a word far from all that is valid is refused by the first reader.
"""

from collections.abc import Sequence
from typing import Any

import yaml
from hypothesis import strategies as st

from study.installation import CONF
from study.schema import keys
from study.schema.defaults import defaults, option, options

Words = st.SearchStrategy[str]


def _words(text: str) -> tuple[str, ...]:
    return (*text.split(),)


NUMBERS = _words(
    r"""
0 -1 1 2 7 0.5 -0.0 1e-300 1e300 -1e300 1e38 1e999 nan inf -inf 1000000 1000000000 99999999999999999999 0x10
1_000 1e 1,5 007 +3
"""
)
PLAIN = ("null", "true", "yes", "None", "", "abc", "gru", "a b", "a,b", "cpu", "sqlite:///x.db", "~", "..", "../x")
SHAPES = _words(
    r"""
[] {} [1,2] [a,[b,null]] {a:1} {a.b:1} {1:2,null:3} {name:norm,threshold:1} [{}] [[[[[[1]]]]]] [ } {a} [1, (1)
[{model:gru,optimizer.lr:[0.1,1]}] [{name:'[/x]y'}] {a:1,a:2}
"""
)
SWEEPS = _words(
    r"""
1,2 range(3) range(1,1000000000) range(0,1000000000000) range(0,1e12,1e-3) range(3,1) range(1,2,0) range(nan)
range(inf) range(0,inf) range(a) choice(1,2) choice() choice([1,2],{a:1}) choice('[/x]',b) interval(0,1)
interval(1,0) interval(0,0) interval(nan,1) interval(0,inf) interval(-1e308,1e308) tag(log,interval(0,1))
tag(log,interval(1e-3,1)) tag(x,choice(1,2)) int(interval(1,9)) int(1e300) int(nan) int(abc) float(null)
bool(7) str([1]) json_str({a:1}) glob(*) glob([a*],exclude=b*) glob() sort(3,1) sort(a,1) shuffle(1,2,3)
shuffle() cast(1) int(int(1)) sort(interval(1,2))
"""
)
LOOKED_UP = _words(
    r"""
${seed} ${slug} ${nope} ${oc.env:HOME} ${oc.env:NOPE} ${oc.env:NOPE,3} ${ ${} ${seed ??? \${x} ${model} ${.lr}
${..seed} ${now:%Y} ${hydra:job.num} ${oc.decode:'1'} ${oc.create:{a:1}} ${oc.dict.keys:task}
${oc.select:task} ${clip} ${optimizer.lr} ${sweep.seeds} ${oc.deprecated:seed} ${unknown:1}
"""
)
QUOTED = _words(
    r"""
' " 'a 'a'b "a\"b" '${x}' \ \\ a\,b 'a,b' a=b a:b = == a#b @ a@b & * %s {0} $(x) `x` ! -- - / /dev/null . ~/x
[/x] [bold]x []]
"""
)
STRANGE = (
    "é", "日本", "\u202e", "\ufeff", "\u2028", "\x00", "\x1b[31mx", "\x07", "a\nb", "\t", "\r", "\ud800", "x" * 300,
    "[" * 99, "9" * 400, "a." * 99, "[/x] y",
)  # fmt: skip
VALUES = (*NUMBERS, *PLAIN, *SHAPES, *SWEEPS, *LOOKED_UP, *QUOTED, *STRANGE)
"""Texts after an equals sign."""

FOLDERS = sorted(folder.name for folder in CONF.iterdir() if folder.name != "experiment")
GROUPS = tuple(group for group in FOLDERS if options(group))
KEYS = tuple(sorted({*keys()}))
ODD = _words(
    r"""
nope model. .seed model..gru model.nope seed.x a.b.c task.nope.x optimizer.lr.x model.name sweep.arms.0 hydra
é sweep.search.optimizer.lr trainer.callbacks.0 model/lstm [x] 1 _target_ model@clip clip@nope model@model
sweep.search.[/x] model.options.x loss.options.a.b experiment slug seed
"""
)
"""Keys that are none, or that say something else than they seem to."""
ANY_KEY = st.sampled_from((*KEYS, *ODD))
ANY_VALUE = st.sampled_from(VALUES)


def values() -> Words:
    """What may stand after an equals sign."""
    listed = st.lists(ANY_VALUE, min_size=1, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
    names = st.sampled_from(("choice", "range", "interval", "sort", "int", "str", "glob", "tag"))
    called = st.tuples(names, ANY_VALUE, ANY_VALUE).map(lambda call: f"{call[0]}({call[1]},{call[2]})")
    return st.one_of(ANY_VALUE, ANY_VALUE, ANY_VALUE, listed, called, st.text(max_size=12))


def overrides() -> Words:
    """One argument of a command line."""
    marks = st.sampled_from(("", "", "", "", "+", "++", "~", "~~", "+~"))
    given = st.tuples(marks, ANY_KEY, values()).map(lambda part: f"{part[0]}{part[1]}={part[2]}")
    chosen = st.sampled_from(GROUPS).flatmap(
        lambda group: st.one_of(st.sampled_from(options(group)), values()).map(lambda name: f"{group}={name}")
    )
    return st.one_of(given, given, given, given, chosen, st.tuples(marks, ANY_KEY).map("".join), st.text(max_size=20))


def plain_values() -> st.SearchStrategy[Any]:
    """What may stand in a file: of any type, nested."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_subnormal=False),
        ANY_VALUE,
        ANY_VALUE,
        st.text(max_size=6),
    )
    nested = lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_KEY, inner, max_size=3)  # noqa: E731
    return st.recursive(leaves, nested, max_leaves=6)


def grids() -> st.SearchStrategy[list[dict[str, Any]]]:
    """`sweep.arms` with what people put there."""
    usual = st.sampled_from(("model", "clip", "optimizer.lr", "clip.threshold", "name", "seed"))
    value = st.one_of(plain_values(), st.lists(ANY_VALUE, max_size=3), st.sampled_from(SWEEPS))
    return st.lists(st.dictionaries(st.one_of(usual, ANY_KEY), value, max_size=3), max_size=3)


def searches() -> st.SearchStrategy[dict[str, Any]]:
    """`sweep.search`."""
    return st.dictionaries(ANY_KEY, st.one_of(st.sampled_from(SWEEPS), plain_values()), max_size=2)


def sections() -> st.SearchStrategy[dict[str, Any]]:
    """The section `sweep` of an experiment: a valid one with some keys changed."""
    whole = option("sweep", "grid") | {"storage": "sqlite:///optuna.db"}
    wrong = st.dictionaries(st.sampled_from((*whole, "nope")), plain_values(), max_size=1)
    return st.tuples(grids(), searches(), wrong).map(
        lambda part: whole | {"arms": part[0], "search": part[1]} | part[2]
    )


def spoilt(sound: Sequence[str], pieces: Sequence[str]) -> Words:
    """One of some sound texts with up to four pieces put in, over others, or in place of the rest."""
    edit = st.tuples(st.floats(0, 1, allow_subnormal=False), st.integers(0, 9), st.sampled_from((*pieces, "")))

    def edited(drawn: Any) -> str:  # of a type with lists, beartype would draw what it checks
        text, edits = drawn
        for share, length, piece in edits:
            place = int(share * len(text))
            text = text[:place] + piece + (text[place + length :] if length < 9 else "")
        return text

    return st.tuples(st.sampled_from(sound), st.lists(edit, min_size=1, max_size=4)).map(edited)


YAML = (
    "\t", ":", ": ", "- ", "&a ", "*a", "<<: *a", "!!python/object:os.system", "!x ", "[", "{", "}", "'", '"', "|\n",
    "\n", "  ", "---\n", "%YAML 9\n", "null", "1e300", ".nan", "seed: 1\n", "\x00", "é", "2024-13-45", "0o9",
    "=", "? ", "#",
    "${seed}", "_target_: x\n",
)  # fmt: skip
"""What breaks YAML, or means something in it."""
CELLS = (
    ",", ";", "\t", '"', "\n", "\r\n", "\r", "x", "1", ".", "-", "%", "nan", "1e300", "-1e300", "1e999", "\u202f", "#",
    "\x00", "\x1b[31m", "\ufeff", "9" * 60, ",,,,,", "\n\n", "_", "/", "B-X", "1-2\ta", "1.1\tb", "é", "2024-02-30",
    "0001-01-01", "99999-01-01", " ",
)  # fmt: skip
"""What breaks tables and columns of words, or means something in them."""


def logged() -> Words:
    """The configuration of a run as YAML, spoilt."""
    choices: tuple[dict[str, str], ...] = ({}, {"model": "lstm", "clip": "norm"}, {"task": "forecasting_csv"})
    return spoilt([yaml.safe_dump(dict(defaults(chosen))) for chosen in choices], YAML)


def names() -> Words:
    """What may be given as RUN: an id, its start, a name, a slug."""
    known = (
        "0123abcd",
        "f" * 32,
        "elman s0",
        "words",
        "sweep words",
        "tour",
        "%",
        "_",
        "' OR 1=1",
        "../../x",
        " ",
        "--json",
        "`",
        "[/x] y",
    )
    starts = st.text("0123456789abcdef", min_size=1, max_size=2)
    return st.one_of(st.sampled_from(known), starts, ANY_VALUE, st.text(max_size=20))


def clips() -> Words:
    """`CLIPS` of what-if."""
    keys = st.sampled_from(("", ".threshold", ".nope", "."))
    word = st.tuples(st.sampled_from(options("clip")), keys, values())
    return st.lists(st.one_of(word.map(lambda part: f"{part[0]}{part[1]}={part[2]}"), values()), max_size=2).map(
        " ".join
    )


MAKE = {
    "look": ("FILE",), "report": ("EXPERIMENT",), "reproduce": ("RUN",), "what-if": ("EXPERIMENT",), "resume": ("RUN",),
    "autopsy": ("RUN", "UPDATE"), "fork": ("RUN", "AT"), "why": ("RUN",), "export": ("RUN", "WEIGHTS"),
    "verify": ("MODEL",), "ui": ("PORT",),
}  # fmt: skip
"""Targets of make, and their variables that are one word of a command."""


def variables() -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    """A target and values of its variables, such as an argument of a process can have: one line, without NUL."""
    odd = st.sampled_from(
        (*VALUES, "it's", '"', "$(x)", "a$b", "`x`", "a;b", "a b", "-x", "#", "\\'", "%", "*", "&&", "$$")
    )
    letters = st.characters(codec="utf-8", exclude_categories=["Cc"])
    value = st.one_of(odd, st.text(letters, max_size=12)).map(_argument)
    return st.sampled_from(sorted(MAKE)).flatmap(
        lambda target: st.tuples(st.just(target), st.fixed_dictionaries(dict.fromkeys(MAKE[target], value)))
    )


def _argument(text: str) -> str:
    line = text.encode("utf-8", "replace").decode().replace("\0", "").strip()
    return line.splitlines()[0] if line else line
