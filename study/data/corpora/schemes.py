"""Named entities written as labels: a letter and a kind, such as B-PER, B_PER or PER-B; O is none.

Where there is one kind the letter may stand alone: B, I, O. Letters say where in an entity a word stands: B first, I
inside, E last, S alone; others write L and U for E and S, or M for I and W for S. Which words make an entity follows
the rules of `conlleval` (Tjong Kim Sang & Buchholz 2000), which read all of these schemes, and give badly formed rows a
meaning too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

SCHEMES = {"IOB": "BI", "IOE": "IE", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}
"""The letters of every scheme; IOB1 and IOE1, which mark only entities that touch, have those of IOB and IOE."""
AS_BIOES = str.maketrans("LUMW", "ESIS")
FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<letter>[A-Z])(?P<between>[-_])(?P<kind>.+)",
        r"(?P<kind>.+)(?P<between>[-_])(?P<letter>[A-Z])",
        r"(?P<letter>[A-Z])(?P<between>)(?P<kind>)",
    )
)
"""How a label may be written; all labels of a corpus in the same way."""
SIMILAR = re.compile(r"[BIESLUMW][-_:/|.].*|.+[-_:/|.][BIESLUMW]|[BI]", re.IGNORECASE)
"""What a reader would take for the label of an entity."""


def are_entities(labels: Iterable[str]) -> bool:
    """Whether labels are entities of one of the schemes, O among them."""
    return bool(hyphened(labels))


def hyphened(labels: Iterable[str]) -> dict[str, str]:
    """Every label as its letter, a hyphen and its kind; none if the labels are not entities of one of the schemes.

    No scheme is guessed: a letter says the same in each, so it is enough that some scheme has all of them.
    """
    given = set(labels)
    marked = given - {"O"}
    for form in FORMS if marked < given else ():
        read = {label: match for label in marked if (match := form.fullmatch(label))}
        letters, between = ({match[part] for match in read.values()} for part in ("letter", "between"))
        fits = len(read) == len(marked) and len(between) == 1 and any(letters <= set(s) for s in SCHEMES.values())
        if fits and (between != {""} or letters > {"B"}):  # B and O alone may be any two classes
            named = {label: f"{match['letter']}-{match['kind'] or 'entity'}" for label, match in read.items()}
            return named | {"O": "O"}
    return {}


def misfit(labels: Iterable[str]) -> str:
    """Why labels that look like entities are none; empty if they are, or do not look so."""
    given = set(labels)
    marked = sorted(given - {"O", "o"})
    similar = [label for label in marked if SIMILAR.fullmatch(label)]
    letters = {end.upper() for label in similar for end in (label[0], label[-1])}
    if are_entities(given) or 2 * len(similar) < len(marked) or not letters & {"B", "I"}:
        return ""
    if "O" not in given:
        return "there is no O"
    others = [label for label in marked if label not in similar]
    return f"{', '.join(others[:5])} fits none" if others else f"{', '.join(marked[:8])} do not fit one of them"


def entities(row: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """The entities of a row of labels: (first word, last word, kind).

    An entity ends after E or S, before B, S and O, and where the kind changes; what follows begins one, unless it is O.
    """
    first, before, kind = 0, "O", ""
    for place, label in enumerate([*row, "O"]):
        letter, new = label[0].translate(AS_BIOES) if label != "O" else "O", label[2:]
        ends = before != "O" and (before in "ES" or letter in "BSO" or new != kind)
        if ends:
            yield first, place - 1, kind
        if letter != "O" and (ends or before == "O"):
            first = place
        before, kind = letter, new


def as_iob2(row: Sequence[str]) -> list[str]:
    """The same entities with B on every first word and I on the others."""
    written = ["O"] * len(row)
    for first, last, kind in entities(row):
        written[first : last + 1] = [f"B-{kind}", *[f"I-{kind}"] * (last - first)]
    return written


def scheme(rows: Iterable[Sequence[str]]) -> str:
    """The name of the scheme in which entities are written, by the letters that occur and where; empty: no entities.

    B, I and O alone are IOB2 where every entity begins with B, and else IOB1, where only one that touches another does.

    Args:
        rows: the labels of every sentence.
    """
    rows = list(rows)
    named = hyphened({label for row in rows for label in row})
    if not named:
        return ""
    letters = {label[0] for label in named.values()} - {"O"}
    fits = [name for name, known in SCHEMES.items() if letters <= set(known)]
    if fits[0] != "IOB":
        return fits[0]
    read = [[named[label] for label in row] for row in rows]
    firsts = [row[first][0] == "B" for row in read for first, _, _ in entities(row)]
    return "IOB2" if all(firsts) else "IOB1"
