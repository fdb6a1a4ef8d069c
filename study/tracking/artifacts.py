"""Files that others wrote, opened only after a look at them: what they are, where they lie, how much they hold.

A store is input: whoever wrote it may have put a pipe, a link or a bomb where a table is expected. So every artifact is
opened here. Limits are far above what a run of this package writes, and below what fills the memory of a laptop.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from study.errors import ConfigError

MEGABYTE = 1 << 20
LARGEST = {".parquet": 512, ".safetensors": 4096}
"""Megabytes of files of a kind; a network of a billion parameters has four thousand."""
ANY = 16
"""Megabytes of a file of another kind: texts, JSON, YAML, code."""
VALUES = 50_000_000
"""Numbers that are read from one table: 400 MB. 100,000 updates with 300 norms are 30 million."""
LETTERS = 500_000_000
"""Letters in all texts of one column."""
COLUMNS = 10_000
FILES = 10_000
"""Files of one run: a run has some forty."""


class Unreadable(ConfigError):
    """An artifact that is there, but not as a run of this package writes it; the text says which, and why."""


def listing(root: Path) -> Iterator[str]:
    """Names of all files in a folder, folders included in the name; links are not followed.

    Raises:
        Unreadable: there are more than a run has.
    """
    count = 0
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if (count := count + 1) > FILES:
                raise Unreadable(f"{root} has more than {FILES:,} files: no run has")
            yield Path(folder, name).relative_to(root).as_posix()


def content(root: Path, name: str) -> bytes:
    """The bytes of a regular file in a folder, of a size that its kind may have.

    Raises:
        Unreadable: it is something else, too large, or a link leads out of the folder.
        OSError: it is not there, or may not be read.
    """
    root = root.resolve()
    file = (root / name).resolve()
    if not file.is_relative_to(root):
        raise Unreadable(f"artifact {name!r}: it lies outside the folder of its run")
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # else opening a pipe waits for its writer
    with open(descriptor, "rb") as opened:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"artifact {name!r}: it is no regular file")
        refuse_large(name, found.st_size)
        return opened.read(found.st_size)


def refuse_large(name: str, size: int) -> None:
    """Refuse a file that is larger than its kind may be, in bytes."""
    most = LARGEST.get(Path(name).suffix, ANY)
    if size > most * MEGABYTE:
        raise Unreadable(f"artifact {name!r}: it has {size:,} bytes, and more than {most} MB are not read")


def table(data: bytes, columns: Sequence[str] | None = None, optional: Sequence[str] = ()) -> pd.DataFrame:
    """A Parquet file, or some of its columns, and of `optional` ones those that it has.

    Raises:
        Unreadable: it is damaged, lacks a column, or holds more than is read; looked at before it is unpacked.
    """
    try:
        schema = pq.read_schema(pa.BufferReader(data))
        if len(set(schema.names)) < len(schema.names) or len(schema.names) > COLUMNS:
            raise Unreadable(f"it has {len(schema.names):,} columns, {len(set(schema.names)):,} of them different")
        wanted = _wanted(schema.names, columns, optional)
        if nested := [name for name in wanted if pa.types.is_nested(schema.field(name).type)]:
            raise Unreadable(f"column {nested[0]!r} is of lists, and tables of runs have none")
        texts = [name for name in wanted if _is_text(schema.field(name).type)]
        with pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts) as file:
            _refuse_many(file.metadata, wanted)
            read = file.read(wanted)
        return _written_out(read, texts, schema).to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise Unreadable(
            f"it is no Parquet file: {str(error).strip().splitlines()[0] if str(error) else error!r}"
        ) from error


def _wanted(names: Sequence[str], columns: Sequence[str] | None, optional: Sequence[str]) -> list[str]:
    if columns is None:
        return list(names)
    if lacking := [column for column in columns if column not in names]:
        raise Unreadable(f"it has no column {lacking[0]!r}")
    return [*columns, *(column for column in optional if column in names)]


def _refuse_many(found: pq.FileMetaData, wanted: Sequence[str]) -> None:
    """Refuse by what the file says of itself: a column of one value may hold it a hundred million times."""
    rows = sum(found.row_group(i).num_rows for i in range(found.num_row_groups))
    values = max(rows, found.num_rows) * len(wanted)
    if values > VALUES or rows < 0:
        raise Unreadable(f"it says that it holds {values:,} values, and more than {VALUES:,} are not read")


def _written_out(read: pa.Table, texts: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Texts, which were read as numbers of different ones, as themselves: if that is not too much."""
    for name in texts:
        column = read[name]
        letters = sum(_letters(chunk) for chunk in column.chunks)
        if letters > LETTERS:
            raise Unreadable(f"column {name!r} holds {letters:,} letters, and more than {LETTERS:,} are not read")
        plain = column.cast(schema.field(name).type)
        read = read.set_column(read.column_names.index(name), name, plain)
    return read


def _letters(chunk: pa.Array) -> int:
    if not pa.types.is_dictionary(chunk.type):
        return int(chunk.nbytes)
    return int(pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices).cast("int64")).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
