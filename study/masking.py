"""Texts without the secrets in them: passwords of addresses, keys in the known formats, values under telling names.

Two uses. What is said to a person or kept for reading (errors, tracebacks, addresses) is masked: `masked`. What a run
needs to be made again is never masked, since it would be another run: it is refused, or left out with a word, by
`revealed`. Hexadecimal digits are no secret here: run ids, commits, digests and seeds stay exact.
"""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import unquote

HIDDEN = "***"
"""Stands where a secret stood."""
KEPT = "STUDY_ADDRESSES"
"""The environment variable with whole addresses, a line each: see `study.addresses`."""
ALLOWED = "pragma: allowlist secret"
"""In a line of source: what looks like a secret there is none. The words are those of the tool detect-secrets."""
SHORTEST = 6
"""Characters of a password that is looked for in any text; a shorter one is found by what stands around it alone."""

NAMES = r"password|passwd|passphrase|passcode|(?<![a-z])pwd|secret|api_?key|access_?key|private_?key|account_?key"
NAMES += r"|auth_?token|access_?token|bearer|credentials?"
"""What the value is secret of. A `token` alone is a word of language models: there the value has to look like a key."""
FORMATS = re.compile(
    r"\b(?:A(?:KIA|SIA)[0-9A-Z]{16}"  # Amazon
    r"|gh[oprsu]_\w{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}"  # GitHub, GitLab
    r"|sk-(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{20,}"  # OpenAI and others
    r"|hf_[A-Za-z0-9]{30,}|AIza[\w-]{35}"  # Hugging Face, Google
    r"|xox[abeoprs]-[\w-]{10,}|dapi[0-9a-f]{32}|pypi-[\w-]{50,}|npm_\w{36}"  # Slack, Databricks, PyPI, npm
    r"|eyJ[\w-]{10,4000}\.eyJ[\w-]{10,4000}\.[\w-]*)"  # JSON web tokens
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[\s\S]{0,10000}?-----END [A-Z ]*PRIVATE KEY-----)?"
)
_NAMED = rf"(?<![\w.-])[\w.-]*(?:{NAMES})[\w-]{{0,64}}"
"""From the first letter of the name on: tried from each letter, a word would take a time that grows as its square."""
ASSIGNED = re.compile(
    rf"""(?P<key>{_NAMED}|(?<![\w.-])[\w.-]*token)["']?\s*(?:[:=]|=>)\s*"""
    r"""(?:(?P<quote>["'])(?P<quoted>(?:(?!(?P=quote)).)+)(?P=quote)|(?P<bare>[^\s"',;&()\[\]{}]+))""",
    re.I,
)
"""A telling name and its value, in quotes or bare."""
USER = re.compile(
    r"""([A-Za-z][\w+.-]{0,40}://)([^\s:/@?#'"]{0,1000})(:(?!\d+[/?,])(?:[^\s/'"]{0,1000}|[^\s@'"]{0,1000}))?@"""
)
"""Who opens an address: scheme, user, password. A password may hold `@`, or `/`: some drivers take them as they are."""
QUERY = re.compile(rf"""([?&;](?:{_NAMED}|[\w.-]*(?:token|sig|signature))=)[^&;\s#'"]*[^&;\s#'":,.]""", re.I)
"""A secret in the query of an address, such as `?sslpassword=...`."""  # pragma: allowlist secret
QUOTED = re.compile(r"""(["'])([A-Za-z0-9+=_-]{16,})\1""")
WORDS = {"str", "int", "float", "bool", "bytes", "none", "null", "true", "false", "any", "object", "path", "optional"}
"""What stands after a name and is a type, or nothing."""
EXPRESSION = re.compile(r"=.*|[-+]?[\d.]+(?:e[-+]?\d+)?|[a-z_]+\.\S*")
"""What is computed or counted, not written: `=`, a number, an attribute."""
PATH = re.compile(r"/|~|[A-Za-z]:[\\/]")
"""How the paths begin that such variables hold, `PWD` among them."""
PLACEHOLDER = re.compile(r"^(?:<.*|\{.*|\$.*|\*+|\.\.\.|\?+|x+|your[-_ ].*|[\w-]*example[\w-]*|changeme|)$", re.I)


def shown(address: str) -> str:
    """An address as it may be seen: `postgresql://me:***@db/runs`, `http://***@host`.

    The user of a database is no secret; before `http` a name alone may be a token.
    """
    return QUERY.sub(rf"\g<1>{HIDDEN}", USER.sub(_without_password, address))


def _without_password(found: re.Match[str]) -> str:
    scheme, user, password = found.groups()
    if scheme.lower().startswith("http"):
        return f"{scheme}{HIDDEN}@"
    return f"{scheme}{user}:{HIDDEN}@" if password and password != ":" else found.group()


def masked(text: str) -> str:
    """A text for a reader without what is a secret, or looks like one."""
    for secret in sorted(_known(), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)  # a password may be a part of common words
    return FORMATS.sub(HIDDEN, ASSIGNED.sub(_without_value, shown(text)))


def _without_value(found: re.Match[str]) -> str:
    if not _is_value(found):
        return found.group()
    value = found["quoted"] or found["bare"]
    head, _, tail = found.group().rpartition(value)
    return f"{head}{HIDDEN}{tail}"


def revealed(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text that look like a secret, by number from 1, each with what speaks for it; not the secret."""
    for number, line in enumerate(text.splitlines(), 1):
        if ALLOWED not in line and (why := _reason(line)):
            yield number, why


def revealing(key: str, value: str) -> str:
    """What makes the value of a key look like a secret, in words; empty where nothing does."""
    if value.lower() in WORDS:
        return ""
    name = key.rpartition(".")[2]
    return _reason(f'{name}="{value}"') or ("" if "/" in value else _reason(f'"{value}"'))


def _reason(line: str) -> str:
    if shown(line) != line:
        return "an address with a password"
    if FORMATS.search(line):
        return "a key in a known format"
    for found in ASSIGNED.finditer(line):
        if _is_value(found):
            return f"a value of {found['key'].strip('.-')}"
    return "a text that looks drawn at random" if any(drawn(found[2]) for found in QUOTED.finditer(line)) else ""


def _is_value(found: re.Match[str]) -> bool:
    """Whether what stands after a telling name is a value, and no expression, type or placeholder."""
    key, quoted, bare = found["key"], found["quoted"], found["bare"]
    value = quoted or bare
    if PLACEHOLDER.match(value) or (not quoted and (value.lower() in WORDS or EXPRESSION.fullmatch(value))):
        return False
    if not re.search(NAMES, key, re.I):  # a token
        return len(value) >= 16 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    alone = not found.string[found.end() :].strip() and not re.search(r"\(| = ", found.string[: found.start("bare")])
    return bool(quoted) or bool(re.search(r"\d", value)) or alone


def drawn(text: str) -> bool:
    """Whether a text looks like letters and digits drawn at random: they change case and kind more often than words do.

    Hexadecimal digits have one case, so that digests and ids never do.
    """
    parts = [part for part in re.split(r"[_\-+=]", text) if len(part) >= 16]
    return any(len({*kinds}) == 3 and _changes(kinds) >= 0.4 * len(kinds) for kinds in map(_kinds, parts))


def _changes(kinds: str) -> int:
    return sum(a != b for a, b in pairwise(kinds))


def _kinds(part: str) -> str:
    return "".join("d" if letter.isdigit() else "u" if letter.isupper() else "l" for letter in part)


def _known() -> set[str]:
    """The secrets that this process knows: passwords of its addresses, and what its environment names so."""
    passwords = {found[3][1:] for found in USER.finditer(os.environ.get(KEPT, "")) if found[3]}
    named = {value for key, value in os.environ.items() if re.search(rf"{NAMES}|token", key, re.I)}
    found = passwords | {unquote(password) for password in passwords} | named
    return {secret for secret in found if len(secret) >= SHORTEST and not secret.isdigit() and not PATH.match(secret)}
