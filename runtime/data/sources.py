"""Reading documents: Parquet, JSON Lines and directories of repositories, as batches of `DOCUMENT_SCHEMA`.

Not a filter by taste: the only documents withheld are those that no later step could read as text, and each
is reported. Which documents a shard gets depends on the source and the number of shards alone; over all
shards each document comes exactly once.
"""

from __future__ import annotations

import codecs
import difflib
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from compiler.errors import UserError
from compiler.ir import Columns, Reader
from compiler.metadata import SourceFile, empty_source, list_files, walk_repositories
from runtime.data.tables import DOCUMENT_SCHEMA, Array, batch_rows, is_text, open_parquet, row_sizes

OnDrop = Callable[[str, str, float | None], None]
"""Called with doc_id, rule and value: "undecodable" or "nul_bytes" with the position of the first byte that
is not UTF-8 or is NUL, whichever comes first; "missing_content" with None."""

BATCH_BYTES = 16 << 20
MAX_LINE_BYTES = 256 << 20
_HEAD_BYTES = 1 << 20
_MAX_ROWS = 8192
_MAX_CONTENT_ROWS = 1024
_KEY_SAMPLE = 100
_OWN_COLUMNS = Columns(doc_id="doc_id", language="language", stars="stars", commit_time="commit_time")
_NUMBERS = ("stars", "commit_time")


def read_documents(
    reader: Reader,
    inputs: Sequence[Path],
    shard: int,
    shards: int,
    *,
    on_drop: OnDrop,
    columns: Sequence[str] | None = None,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[pa.RecordBatch]:
    """The documents of shard `shard` (0-based) of `shards`, in batches of at most `batch_bytes` or one row.

    `inputs` are the Parquet files of format "documents"; other formats are found by `reader.location`.
    `columns` picks columns of `DOCUMENT_SCHEMA` (default: all). Documents whose content is null, holds a
    NUL or is not UTF-8 go to `on_drop` instead; where `content` is not asked for, it is not read and
    nothing is dropped.

    A document without an id gets `SOURCE/REPO/PATH`; one without a path is called `FILE#ROW`, counted from
    1. Raises UserError for an empty source, unreadable or truncated files, missing columns, bad JSON and
    values of the wrong type.
    """
    names = list(columns or DOCUMENT_SCHEMA.names)
    with_content = "content" in names
    if reader.format in ("documents", "parquet"):
        raw = _read_parquet(reader, inputs, shard, shards, with_content=with_content, batch_bytes=batch_bytes)
    elif reader.format == "jsonl":
        raw = _batched(_read_json_lines(reader, shard, shards, with_content), reader.source, batch_bytes)
    else:
        raw = _batched(_read_directory(reader, shard, shards, with_content, on_drop), reader.source, batch_bytes)
    for batch in raw:
        clean = _drop_unreadable(batch, on_drop) if with_content else batch
        yield from split_bytes(clean.select(names), batch_bytes)


def shard_range(total: int, shard: int, shards: int) -> tuple[int, int]:
    """First and last + 1 of the items of one shard; shards differ by at most one item.

    >>> [shard_range(10, k, 3) for k in range(3)]
    [(0, 3), (3, 6), (6, 10)]
    """
    return total * shard // shards, total * (shard + 1) // shards


def split_bytes(batch: pa.RecordBatch, limit: int) -> Iterator[pa.RecordBatch]:
    """Consecutive slices of at most `limit` bytes, or of one row that is larger; none of an empty batch."""
    ends = np.cumsum(row_sizes(batch))
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        count = max(1, int(np.searchsorted(ends, before + limit, side="right")) - start)
        yield batch.slice(start, count)
        start += count


def defect(content: bytes, *, final: bool = True) -> tuple[str, float] | None:
    r"""The rule that bytes break as text, and where, or None. Not `final`: a character may be cut at the end.

    >>> defect(b"caf\xc3\xa9"), defect(b"caf\xe9"), defect(b"a\0b"), defect(b"caf\xc3", final=False)
    (None, ('undecodable', 3.0), ('nul_bytes', 1.0), None)
    """
    nul = content.find(0)
    try:
        codecs.utf_8_decode(content, "strict", final)
    except UnicodeDecodeError as error:
        if nul < 0 or error.start < nul:
            return "undecodable", float(error.start)
    return ("nul_bytes", float(nul)) if nul >= 0 else None


def _drop_unreadable(batch: pa.RecordBatch, on_drop: OnDrop) -> pa.RecordBatch:
    """The rows whose content (as bytes) is text, in `DOCUMENT_SCHEMA`; the others are reported."""
    content: Array = batch.column("content")
    text = _as_text(content)
    if text is not None and not content.null_count and not _has_nul(content):
        return _with_content(batch, text)
    keep = np.ones(batch.num_rows, dtype=bool)
    for row, value in enumerate(content):
        found = defect(value.as_buffer().to_pybytes()) if value.is_valid else ("missing_content", None)
        if found:
            keep[row] = False
            on_drop(batch.column("doc_id")[row].as_py(), *found)
    kept = batch.filter(pa.array(keep))
    return _with_content(kept, kept.column("content").cast(pa.large_string()))


def _as_text(column: Array) -> Array | None:
    try:
        return column.cast(pa.large_string())
    except pa.ArrowInvalid:
        return None


def _has_nul(content: Array) -> bool:
    """Whether a NUL stands anywhere in a large_binary column; ten times faster than a search in each row."""
    _, offsets, data = content.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[content.offset :]
    start, end = int(ends[0]), int(ends[len(content)])
    return end > start and int(np.frombuffer(data, dtype=np.uint8)[start:end].min()) == 0


def _with_content(batch: pa.RecordBatch, text: Array) -> pa.RecordBatch:
    columns: dict[str, Array] = {name: batch.column(name) for name in batch.schema.names}
    return pa.RecordBatch.from_pydict({**columns, "content": text}, schema=DOCUMENT_SCHEMA)


# ---------------------------------------------------------------- Parquet


def _read_parquet(
    reader: Reader, inputs: Sequence[Path], shard: int, shards: int, *, with_content: bool, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Rows `shard_range` of all files end to end."""
    own = reader.format == "documents"
    columns = _OWN_COLUMNS if own else reader.columns
    if own:
        files = [SourceFile(name=p.name, path=str(p), size=p.stat().st_size) for p in inputs]
    else:
        files = list_files("parquet", reader.location, name=reader.source)
    rows = [_row_count(file) for file in files]
    if not own and not sum(rows):
        raise empty_source(reader.source, reader.location, f"the {len(files)} files it names hold 0 rows")
    first, last = shard_range(sum(rows), shard, shards)
    start = 0
    for file, file_rows in zip(files, rows, strict=True):
        span = range(max(first - start, 0), min(last - start, file_rows))
        if span:
            for row, batch in _parquet_rows(file, columns, span, with_content, batch_bytes):
                yield _normalise(batch, columns, reader.source, file, row)
        start += file_rows


def _row_count(file: SourceFile) -> int:
    with _parquet_errors(file):
        return int(pq.read_metadata(file.path).num_rows)


def _parquet_rows(
    file: SourceFile, columns: Columns, span: range, with_content: bool, batch_bytes: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of the rows in `span` with the number of their first row; other row groups are not read.

    Raises UserError for damaged pages, where the file has checksums of them, and for rows that do not come.
    """
    fields = attrs.asdict(columns)
    wanted = [name for field, name in fields.items() if name and (with_content or field != "content")]
    most = _MAX_CONTENT_ROWS if with_content else _MAX_ROWS
    with _parquet_errors(file), open_parquet(file.path) as parquet:
        _check_names(file.path, wanted, parquet.schema_arrow.names, "column", columns)
        start = 0
        for index in range(parquet.num_row_groups):
            group = parquet.metadata.row_group(index)
            if start < span.stop and start + group.num_rows > span.start:
                rows = batch_rows(group, batch_bytes, most, wanted.__contains__)
                position = start
                for batch in parquet.iter_batches(rows, row_groups=[index], columns=wanted):
                    low, high = max(span.start - position, 0), min(span.stop - position, batch.num_rows)
                    if low < high:
                        yield position + low, batch.slice(low, high - low)
                    position += batch.num_rows
                    if position >= span.stop:
                        break
                if position < min(span.stop, start + group.num_rows):
                    raise pa.ArrowInvalid(f"row group {index} holds {position - start} of {group.num_rows} rows")
            start += group.num_rows


@contextmanager
def _parquet_errors(file: SourceFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{file.path} ({file.size} bytes) cannot be read as Parquet: {said[0]}",
            fix="copy or write the file again, or leave it out of the source",
        ) from error


def _normalise(
    batch: pa.RecordBatch, columns: Columns, source: str, file: SourceFile, first_row: int
) -> pa.RecordBatch:
    """A batch in the columns of `DOCUMENT_SCHEMA`, content (where it was read) still as bytes."""
    rows = batch.num_rows
    given: dict[str, Array] = {
        field: _plain(batch.column(name))
        for field, name in attrs.asdict(columns).items()
        if name and name in batch.schema.names
    }
    result: dict[str, Array] = {"source": _constant(source, rows)}
    for field in ("doc_id", "repo", "path", "language"):
        result[field] = (
            _text(given[field], getattr(columns, field), file) if field in given else pa.nulls(rows, pa.string())
        )
    numbers = pa.array(np.arange(first_row + 1, first_row + rows + 1)).cast(pa.string())
    fallback = pc.binary_join_element_wise(_constant(file.name, rows), numbers, "#")
    result["path"] = pc.coalesce(result["path"], fallback)
    result["repo"] = pc.fill_null(result["repo"], "")
    made: Array = pc.binary_join_element_wise(_constant(source, rows), result["repo"], result["path"], "/")
    result["doc_id"] = pc.coalesce(result["doc_id"], made)
    for field in _NUMBERS:
        result[field] = _integers(given[field], getattr(columns, field), file) if field in given else _zeros(rows)
    if "content" in given:
        result["content"] = _bytes(given["content"], columns.content, file)
    return pa.RecordBatch.from_pydict({name: result[name] for name in DOCUMENT_SCHEMA.names if name in result})


def _constant(text: str, rows: int) -> Array:
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def _zeros(rows: int) -> Array:
    return pa.array(np.zeros(rows, dtype=np.int64))


def _plain(column: Array) -> Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _text(column: Array, name: str, file: SourceFile) -> Array:
    """A column of names as strings: null where empty, numbers in decimal, bytes not UTF-8 as escapes."""
    raw = column.cast(pa.large_binary()) if is_text(column.type) else column
    try:
        text: Array = raw.cast(pa.string())
    except pa.ArrowInvalid:
        values = (value.as_py() for value in raw)
        shown = [v if v is None else v.decode("utf-8", "backslashreplace") for v in values]
        text = pa.array(shown, pa.string())
    except pa.ArrowNotImplementedError as error:
        raise UserError(
            f"{file.path}: column {name!r} has type {column.type}, which is no name",
            fix="map a column of strings or integers",
        ) from error
    return pc.if_else(pc.equal(text, pa.scalar("")), pa.scalar(None, pa.string()), text)


def _integers(column: Array, name: str, file: SourceFile) -> Array:
    """A column as int64 with 0 for null; times as Unix seconds."""
    try:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("s"), safe=False)
        return column.cast(pa.int64()).fill_null(0)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(
            f"{file.path}: column {name!r} of type {column.type} is not whole numbers: {error}",
            fix='write it as integers, or set this column to ""',
        ) from error


def _bytes(column: Array, name: str, file: SourceFile) -> Array:
    if not (is_text(column.type) or pa.types.is_null(column.type)):
        raise UserError(
            f"{file.path}: column {name!r} has type {column.type}, which is no text",
            fix="name the column that holds the text of the documents as `content`",
        )
    return column.cast(pa.large_binary())


def _check_names(where: str, wanted: Iterable[str], existing: Sequence[str], kind: str, columns: Columns) -> None:
    """Raise UserError for the first wanted column that does not exist, with those that do."""
    for name in wanted:
        if name not in existing:
            field = next(field for field, mapped in attrs.asdict(columns).items() if mapped == name)
            close = difflib.get_close_matches(name, existing, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            absent = "" if field == "content" else ', or "" where there is none'
            raise UserError(
                f"no {kind} {name!r} (for {field}); there are {', '.join(map(repr, existing))}{hint}",
                where=where,
                fix=f"set columns.{field} to one of them{absent}",
            )


# ---------------------------------------------------------------- JSON Lines and directories


class _Record(NamedTuple):
    """One document as read; `content` is None where it is missing."""

    doc_id: str
    repo: str
    path: str
    language: str | None
    stars: int
    commit_time: int
    content: bytes | None


def _batched(records: Iterable[_Record], source: str, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    pending: list[_Record] = []
    size = 0
    for record in records:
        pending.append(record)
        size += len(record.content or b"")
        if size >= batch_bytes or len(pending) >= _MAX_ROWS:
            yield _record_batch(pending, source)
            pending, size = [], 0
    if pending:
        yield _record_batch(pending, source)


def _record_batch(records: Sequence[_Record], source: str) -> pa.RecordBatch:
    values = dict(zip(_Record._fields, zip(*records, strict=True), strict=True))
    arrays: dict[str, Array] = {"source": _constant(source, len(records))}
    for name in _Record._fields:
        kind = pa.large_binary() if name == "content" else DOCUMENT_SCHEMA.field(name).type
        arrays[name] = pa.array(values[name], kind)
    return pa.RecordBatch.from_pydict({name: arrays[name] for name in DOCUMENT_SCHEMA.names})


def _read_json_lines(reader: Reader, shard: int, shards: int, with_content: bool) -> Iterator[_Record]:
    """Whole files in turn where there are several; the lines in turn of a single one."""
    files = list_files("jsonl", reader.location, name=reader.source)
    single = len(files) == 1
    found = False
    for file in files if single else files[shard::shards]:
        _check_keys(reader.columns, file)
        for number, line in _lines(file):
            if not single or (number - 1) % shards == shard:
                found = True
                yield _record(_parse(line, file, number), reader, file, number, with_content)
    if not found and not any(True for file in files for _ in _lines(file)):
        raise empty_source(reader.source, reader.location, f"the {len(files)} files it names hold no line")


def _lines(file: SourceFile) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers from 1."""
    try:
        with _open(file.path) as stream:
            for number in count(1):
                line = stream.readline(MAX_LINE_BYTES + 1)
                if not line:
                    return
                if len(line) > MAX_LINE_BYTES:
                    raise _bad_line(file, number, f"longer than {MAX_LINE_BYTES} bytes")
                text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if text.strip():
                    yield number, text
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise UserError(
            f"{file.path} ({file.size} bytes) cannot be read: {error}",
            fix="copy or write the file again, or leave it out of the source",
        ) from error


def _open(path: str) -> io.BufferedIOBase:
    if path.endswith(".gz"):
        return gzip.GzipFile(path, "rb")
    if path.endswith((".zst", ".zstd")):
        stream: Any = pa.input_stream(path, compression="zstd")
        return io.BufferedReader(stream)
    return open(path, "rb")


def _bad_line(file: SourceFile, number: int, what: str) -> UserError:
    return UserError(what, where=f"{file.path}:{number}", fix="write one JSON object a line")


def _parse(line: bytes, file: SourceFile, number: int) -> dict[str, Any]:
    """One line as an object. Bytes that are not UTF-8 become lone surrogates, which are reported later."""
    try:
        value = json.loads(line.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as error:
        raise _bad_line(file, number, f"not valid JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise _bad_line(file, number, f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise _bad_line(file, number, f"JSON of type {type(value).__name__}, not an object")
    return value


def _check_keys(columns: Columns, file: SourceFile) -> None:
    """Refuse a mapped key that none of the first lines has: a misnamed column, not a ragged record."""
    wanted = [name for name in attrs.astuple(columns) if name]
    seen: dict[str, None] = {}
    for i, (number, line) in enumerate(_lines(file)):
        if i == _KEY_SAMPLE or all(name in seen for name in wanted):
            break
        seen.update(dict.fromkeys(_parse(line, file, number)))
    if seen:
        _check_names(file.path, wanted, list(seen), f"key in the first {_KEY_SAMPLE} lines named", columns)


def _record(value: dict[str, Any], reader: Reader, file: SourceFile, number: int, with_content: bool) -> _Record:
    columns, where = reader.columns, f"{file.path}:{number}"
    names = {field: value.get(name) for field, name in attrs.asdict(columns).items() if name}
    content = names.get("content")
    if content is not None and not isinstance(content, str):
        raise UserError(
            f"{columns.content!r} is of type {type(content).__name__}, not a string",
            where=where,
            fix="name the key that holds the text of the document as `content`",
        )
    text = {field: _name(names.get(field), field, where) for field in ("doc_id", "repo", "path", "language")}
    repo, path = text["repo"] or "", text["path"] or f"{file.name}#{number}"
    return _Record(
        doc_id=text["doc_id"] or f"{reader.source}/{repo}/{path}",
        repo=repo,
        path=path,
        language=text["language"],
        stars=_whole(names.get("stars"), columns.stars, where),
        commit_time=_whole(names.get("commit_time"), columns.commit_time, where),
        content=content.encode("utf-8", "surrogatepass") if content is not None and with_content else None,
    )


def _name(value: Any, field: str, where: str) -> str | None:
    """A JSON string or integer as a name, None where empty; what is not UTF-8 appears as escapes."""
    if not isinstance(value, str | int | None):
        raise UserError(
            f"{field} is of type {type(value).__name__}, not a string",
            where=where,
            fix=f"set columns.{field} to a key that holds strings",
        )
    return None if value in (None, "") else str(value).encode("utf-8", "backslashreplace").decode()


def _whole(value: Any, name: str, where: str) -> int:
    if value is None:
        return 0
    if isinstance(value, int | float) and value == value // 1 and abs(value) < 1 << 63:
        return int(value)
    raise UserError(
        f"{name!r} is {value!r}, not a whole number of 64 bits",
        where=where,
        fix="write it as an integer, or leave it out",
    )


def _read_directory(reader: Reader, shard: int, shards: int, with_content: bool, on_drop: OnDrop) -> Iterator[_Record]:
    """Files by the checksum of their name, so that a shard's files do not depend on which others exist."""
    found = False
    for file in walk_repositories(reader.location):
        found = True
        if zlib.crc32(file.name.encode()) % shards != shard:
            continue
        repo, _, path = file.name.partition("/")
        doc_id = f"{reader.source}/{file.name}"
        content, broken = _read_text(file.path) if with_content else (None, None)
        if broken:
            on_drop(doc_id, *broken)
        else:
            yield _Record(doc_id, repo, path, None, 0, 0, content)
    if not found:
        what = "no files in sub-directories (one for each repository) found"
        raise empty_source(reader.source, reader.location, what)


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
