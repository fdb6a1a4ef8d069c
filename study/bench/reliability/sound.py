"""Small files that are read as they are, for faults to be put into."""

from collections.abc import Callable

DAYS = [f"2024-{1 + day // 28:02}-{1 + day % 28:02}" for day in range(40)]
PRICES = [1180 + 10 * (day * 7 % 11) + day / 4 for day in range(40)]


def _lines(head: str, row: str) -> str:
    """A header, and a line for each day."""
    rows = [row.format(day=day, price=price, other=price + 1) for day, price in zip(DAYS, PRICES, strict=True)]
    return "\n".join([head, *rows]) + "\n"


TABLES = (
    _lines("date,y", "{day},{price}"),
    _lines("Date,Open,High,Low,Close,Volume", "{day},{price},{other},{price},{other},1000"),
    _lines("Datum;Kurs", "{day};{price:.0f},5"),
    _lines('"Date","Price","Vol."', '"{day}","{price:,.2f}","1.30M"'),
    _lines("y,z", "{price},{other}"),
    "Price,Close,Volume\nTicker,AAPL,AAPL\n" + _lines("Date,,", "{day},{price},7"),
    _lines("<DATE>\t<CLOSE>", "{day}\t{price}"),
)
"""As vendors and programs write them."""

WORDS = (("the", "DET"), ("cat", "NOUN"), ("sees", "VERB"), ("Oslo", "B-place"), ("old", "ADJ"))


def _sentences(write: Callable[[int, str, str], str], between: str = "\n", end: str = "\n\n") -> str:
    """Twenty sentences, each word with its label."""
    sentences = ([write(place, *pair) for place, pair in enumerate(WORDS[: 2 + n % 4], 1)] for n in range(20))
    return end.join(between.join(sentence) for sentence in sentences) + "\n"


CORPORA = (
    _sentences(lambda _, word, label: f"{word} {label}"),
    _sentences(lambda place, word, label: f"{place}\t{word}\t_\t{label}" + "\t_" * 6),
    _sentences(lambda _, word, label: f"{word}/{label}", between=" ", end="\n"),
)
"""Words with labels: columns, CoNLL-U, word/tag."""
TEXTS = (_sentences(lambda _, word, __: word, between=" ", end="\n"),)
