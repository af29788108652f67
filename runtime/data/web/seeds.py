"""Seed pages: Parquet with a column of text, and where they are known url and label."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from compiler.errors import UserError
from compiler.metadata import SourceFile
from runtime.data.tables import is_text, open_parquet

BATCH_ROWS = 1024
_OPTIONAL = ("url", "label")


@attrs.frozen
class Seed:
    """One seed page: `key` is a digest of its text, which tells it from others; `url` is empty if unknown."""

    key: str
    url: str
    text: str
    code: bool
    held_out: bool


def read_seeds(files: Sequence[SourceFile], held_out: Fraction, seed: int) -> Iterator[Seed]:
    """The seed pages, each text once; a page is held out by a hash of its text.

    Pages without text are passed over. Without a column `label` all are code-related. Memory grows by 32 bytes
    of digest a page. Raises UserError for files that are no Parquet, a missing column, and labels that are
    neither true nor false.
    """
    seen: set[bytes] = set()
    for file in files:
        for row in _rows(file):
            text = row["text"]
            digest = hashlib.sha256((text or "").encode()).digest()
            if text and digest not in seen:
                seen.add(digest)
                key = digest.hex()
                yield Seed(key, row.get("url") or "", text, row.get("label", True), drawn(key, held_out, seed))


def drawn(key: str, share: Fraction, seed: int, salt: str = "held out") -> bool:
    """Whether a share of all keys holds this one, by a hash of it: the same for any order and any shards.

    >>> sum(drawn(str(n), Fraction(1, 4), seed=1) for n in range(10_000))
    2499
    """
    digest = hashlib.sha256(f"{salt}/{seed}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * share.denominator < share.numerator << 64


def _rows(file: SourceFile) -> Iterator[dict[str, Any]]:
    try:
        with open_parquet(file.path) as parquet:
            names = _columns(file, parquet)
            for batch in parquet.iter_batches(BATCH_ROWS, columns=names):
                yield from _plain(file, batch)
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0]
        raise UserError(f"{file.path} ({file.size} bytes) cannot be read as Parquet: {said}") from error


def _columns(file: SourceFile, parquet: pq.ParquetFile) -> list[str]:
    schema = parquet.schema_arrow
    if "text" not in schema.names or not is_text(schema.field("text").type):
        raise UserError(
            f"the seed has no column 'text' of strings; its columns are {', '.join(map(repr, schema.names))}",
            where=file.path,
            fix="write the text of the pages as text, and if known their url and label (true: code-related)",
        )
    return ["text", *(name for name in _OPTIONAL if name in schema.names)]


def _plain(file: SourceFile, batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows of a batch with text as str and label as bool; text that is not UTF-8 counts as missing."""
    for row in batch.to_pylist():
        if isinstance(row["text"], bytes):
            try:
                row["text"] = row["text"].decode()
            except UnicodeDecodeError:
                row["text"] = None
        if "label" in row and row["label"] not in (0, 1):
            raise UserError(
                f"a seed page has label {row['label']!r}, which is neither true nor false",
                where=file.path,
                fix="write true or 1 for code-related pages, false or 0 for others, or leave the column out",
            )
        yield {**row, "label": bool(row["label"])} if "label" in row else row
