"""Documents in a directory of repositories: every regular file is one. Links are not followed, nothing is executed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

import pyarrow as pa

from compiler.errors import UserError
from compiler.ir import Reader
from compiler.metadata import SourceFile, empty_source, walk_repositories
from runtime.data.sources.records import Record, batched
from runtime.data.sources.spans import Span
from runtime.data.sources.unreadable import OnDrop, defect

_HEAD_BYTES = 1 << 20


def size_of(reader: Reader) -> int:
    """Bytes of the files, and one for each."""
    return sum(file.size + 1 for file in walk_repositories(reader.location))


def read(
    reader: Reader, span: Span, on_drop: OnDrop, *, with_content: bool, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The files of a stretch, in the order of the walk."""
    return batched(_records(reader, span, with_content, on_drop), reader.source, batch_bytes)


def pick(reader: Reader, positions: Collection[int], on_drop: OnDrop, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """The files at some positions of the walk; no other file is opened."""
    walk = enumerate(walk_repositories(reader.location))
    found = (_record(reader, file, i, True, on_drop) for i, file in walk if i in positions)
    return batched((record for record in found if record), reader.source, batch_bytes)


def _records(reader: Reader, span: Span, with_content: bool, on_drop: OnDrop) -> Iterator[Record]:
    place, position = 0, -1
    for position, file in enumerate(walk_repositories(reader.location)):
        record = _record(reader, file, position, with_content, on_drop) if place in span else None
        place += file.size + 1
        if record:
            yield record
    if position < 0:
        what = "no files in sub-directories (one for each repository) found"
        raise empty_source(reader.source, reader.location, what)


def _record(reader: Reader, file: SourceFile, position: int, with_content: bool, on_drop: OnDrop) -> Record | None:
    """One file as a document, or None where it is not text."""
    repo, _, path = file.name.partition("/")
    doc_id = f"{reader.source}/{file.name}"
    content, broken = _read_text(file.path) if with_content else (None, None)
    if broken:
        on_drop(doc_id, *broken)
        return None
    return Record(doc_id, repo, path, None, 0, 0, content, position)


def _read_text(path: str) -> tuple[bytes | None, tuple[str, float] | None]:
    """The bytes of a file, or what is wrong with its first MiB: most binary files need not be read whole."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
            broken = defect(head, final=len(head) < _HEAD_BYTES)
            return (None, broken) if broken else (head + stream.read(), None)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {os.strerror(error.errno or 0)}", fix="grant access, or move it out"
        ) from error
