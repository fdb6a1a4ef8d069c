"""Small files in the formats of the data sets that are downloaded or the user's own: made here, the same every time."""

import math
from hashlib import sha256
from pathlib import Path

import torch

from study.data import Download
from study.tasks.forecasting import etth1
from study.tasks.labelling import ewt, wnut17
from study.tasks.language import tinyshakespeare

CHANNELS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
WORDS = ("the", "cat", "The", "dog", "sees", "runs", "red", "old", "Anna", "Oslo", "by", "a")
TAGS = ("DET", "NOUN", "DET", "NOUN", "VERB", "VERB", "ADJ", "ADJ", "PROPN", "PROPN", "ADP", "DET")


def table(rows: int) -> str:
    """Hourly values of seven channels, daily waves and noise."""
    noise = torch.rand(rows, len(CHANNELS), generator=torch.Generator().manual_seed(0)).tolist()
    lines = [f"date,{','.join(CHANNELS)}"]
    for t in range(rows):
        date = f"{2016 + t // 8064}-{t // 672 % 12 + 1:02}-{t // 24 % 28 + 1:02} {t % 24:02}:00:00"
        values = (f"{math.sin(math.tau * (t / 24 + c / 7)) + noise[t][c]:.3f}" for c in range(len(CHANNELS)))
        lines.append(f"{date},{','.join(values)}")
    return "\n".join(lines) + "\n"


def picks(sentences: int, seed: int) -> list[list[int]]:
    """Sentences of 1 to 12 numbers of words, the first ones of all words."""
    draws = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 13, (sentences,), generator=draws).tolist()
    return [list(range(len(WORDS)))] + [torch.randint(len(WORDS), (n,), generator=draws).tolist() for n in lengths]


def text(sentences: int, seed: int = 0) -> str:
    """A sentence a line."""
    return "".join(" ".join(WORDS[i] for i in sentence) + " .\n" for sentence in picks(sentences, seed))


def conllu(sentences: int, seed: int = 0) -> str:
    """CoNLL-U with comments, multiword tokens and empty nodes, which are no steps."""
    blocks = []
    for sentence in picks(sentences, seed):
        lines = ["# sent_id = 1", "1-2\tthecat" + "\t_" * 8]
        tags = [TAGS[i] for i in sentence[:-1]] + ["NOUN"]  # so that the word alone does not tell
        lines += [f"{n}\t{WORDS[i]}\t_\t{tags[n - 1]}" + "\t_" * 6 for n, i in enumerate(sentence, 1)]
        blocks.append("\n".join([*lines, f"{len(sentence)}.1\tgone" + "\t_" * 8]) + "\n\n")
    return "".join(blocks)


def entities(sentences: int, seed: int = 0) -> str:
    """Two columns, names being entities of two words or one; a word may look like a comment."""
    blocks = []
    for sentence in picks(sentences, seed):
        kinds = ["person" if WORDS[i] == "Anna" else "place" if WORDS[i] == "Oslo" else "" for i in sentence]
        labels = [
            "O" if not kind else f"{'I' if n and kinds[n - 1] == kind else 'B'}-{kind}" for n, kind in enumerate(kinds)
        ]
        words = ["#red" if WORDS[i] == "red" else WORDS[i] for i in sentence]
        blocks.append("".join(f"{word}\t{label}\n" for word, label in zip(words, labels, strict=True)) + "\n")
    return "".join(["Anna\tB-person\nAnna\tI-person\nOslo\tB-place\nOslo\tI-place\n\n", *blocks])


def put(file: Path, content: str) -> str:
    """Write a file; return its SHA-256."""
    file.write_text(content, encoding="utf-8")
    return sha256(content.encode()).hexdigest()


def fill(cache: Path) -> list[tuple[object, str, object]]:
    """Put samples where downloads are kept; return (module, name, value) for every changed hash."""

    def sample(download: Download, content: str) -> Download:
        return download._replace(sha256=put(cache / download.name, content))

    return [
        (etth1, "FILE", sample(etth1.FILE, table(14600))),
        (tinyshakespeare, "FILE", sample(tinyshakespeare.FILE, text(3000))),
        (ewt, "FILES", tuple(sample(file, conllu(200, seed)) for seed, file in enumerate(ewt.FILES))),
        (wnut17, "FILES", tuple(sample(file, entities(200, seed)) for seed, file in enumerate(wnut17.FILES))),
    ]


def own(folder: Path) -> dict[str, list[str]]:
    """Put the user's own files into a folder; return what each task must be told."""
    put(folder / "own.csv", table(600))
    put(folder / "own.txt", text(1500))
    put(folder / "own.conllu", conllu(300))
    return {
        "forecasting_csv": [f"task.path={folder}/own.csv", "task.targets=[OT,HUFL]", "task.features=[LULL]"],
        "language_text": [f"task.path={folder}/own.txt", "task.level=word"],
        "labelling_conll": [f"task.path={folder}/own.conllu", "task.affixes=2"],
    }
