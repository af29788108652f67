"""Documents in Parquet files: rows over all files end to end. Only the row groups of a stretch are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from compiler.errors import UserError
from compiler.ir import Columns, Reader
from compiler.metadata import SourceFile, empty_source, list_files
from runtime.data.sources.batches import MAX_ROWS, READ_SCHEMA, check_names, constant, zeros
from runtime.data.sources.spans import Span
from runtime.data.tables import Array, batch_rows, is_text, open_parquet

_MAX_CONTENT_ROWS = 1024
_NUMBERS = ("stars", "commit_time")
_OWN_COLUMNS = Columns(doc_id="doc_id", language="language", stars="stars", commit_time="commit_time")


def size_of(reader: Reader, inputs: Sequence[Path]) -> int:
    """Uncompressed bytes of the content, and one for each row."""
    return sum(_weight(group) for file in _files(reader, inputs) for group in _groups(file, _columns(reader)))


def read(
    reader: Reader, inputs: Sequence[Path], span: Span, *, with_content: bool, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a stretch: those of a row group stand at even distances on its part of the line."""
    columns = _columns(reader)
    place = first_row = 0
    for file in _files(reader, inputs):
        start, wanted = first_row, list[int]()
        for group in _groups(file, columns):
            rows = _rows_within(group, span.within(place, place + _weight(group)))
            wanted += [first_row - start + row for row in (rows.start, rows.stop) if rows]
            place, first_row = place + _weight(group), first_row + group.rows
        if wanted:
            for row, batch in _parquet_rows(file, columns, range(wanted[0], wanted[-1]), with_content, batch_bytes):
                yield _normalise(batch, columns, reader.source, file, row, start)
    if not first_row and reader.format == "parquet":
        raise empty_source(reader.source, reader.location, "its files hold 0 rows")


def pick(
    reader: Reader, inputs: Sequence[Path], positions: Collection[int], *, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The rows at some positions, one a batch; of a row group only the rows up to the last one wanted are read."""
    columns = _columns(reader)
    first_row = 0
    for file in _files(reader, inputs):
        start = first_row
        for group in _groups(file, columns):
            wanted = sorted(p - start for p in positions if first_row <= p < first_row + group.rows)
            if wanted:
                rows = range(wanted[0], wanted[-1] + 1)
                for row, batch in _parquet_rows(file, columns, rows, True, batch_bytes):
                    for at in wanted:
                        if row <= at < row + batch.num_rows:
                            yield _normalise(batch.slice(at - row, 1), columns, reader.source, file, at, start)
            first_row += group.rows


def _columns(reader: Reader) -> Columns:
    return _OWN_COLUMNS if reader.format == "documents" else reader.columns


def _files(reader: Reader, inputs: Sequence[Path]) -> list[SourceFile]:
    if reader.format == "documents":
        return [SourceFile(name=p.name, path=str(p), size=p.stat().st_size) for p in inputs]
    return list_files("parquet", reader.location, name=reader.source)


@attrs.frozen
class _Group:
    """A row group: its rows, and the bytes of their content before compression."""

    rows: int
    bytes: int


def _groups(file: SourceFile, columns: Columns) -> list[_Group]:
    with _parquet_errors(file):
        metadata = pq.read_metadata(file.path)
        return [
            _Group(group.num_rows, _content_bytes(group, columns.content))
            for group in map(metadata.row_group, range(metadata.num_row_groups))
        ]


def _content_bytes(group: pq.RowGroupMetaData, name: str) -> int:
    """Bytes of the column that holds the content; of all columns where there is none, which reading reports."""
    chunks = [group.column(i) for i in range(group.num_columns)]
    content = [chunk for chunk in chunks if chunk.path_in_schema == name] or chunks
    return sum(chunk.total_uncompressed_size for chunk in content)


def _weight(group: _Group) -> int:
    return group.bytes + group.rows if group.rows else 0


def _rows_within(group: _Group, span: Span) -> range:
    """The rows of a group whose place lies in a stretch of the group's part of the line."""
    assert span.stop is not None
    if not group.rows:
        return range(0)
    weight = _weight(group)  # row r stands at weight * r // rows; the first row at or after a place is then:
    low, high = (-(-place * group.rows // weight) for place in (span.start, span.stop))
    return range(low, min(high, group.rows))


def _parquet_rows(
    file: SourceFile, columns: Columns, span: range, with_content: bool, batch_bytes: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of the rows in `span` with the number of their first row; other row groups are not read.

    Raises UserError for damaged pages, where the file has checksums of them, and for rows that do not come.
    """
    fields = attrs.asdict(columns)
    wanted = [name for field, name in fields.items() if name and (with_content or field != "content")]
    most = _MAX_CONTENT_ROWS if with_content else MAX_ROWS
    with _parquet_errors(file), open_parquet(file.path) as parquet:
        check_names(file.path, wanted, parquet.schema_arrow.names, "column", columns)
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
    batch: pa.RecordBatch, columns: Columns, source: str, file: SourceFile, first_row: int, rows_before: int
) -> pa.RecordBatch:
    """A batch in the columns of `READ_SCHEMA`, content (where it was read) still as bytes.

    `first_row` is its first row in the file, `rows_before` counts those of the files before.
    """
    rows = batch.num_rows
    given: dict[str, Array] = {
        field: _plain(batch.column(name))
        for field, name in attrs.asdict(columns).items()
        if name and name in batch.schema.names
    }
    result: dict[str, Array] = {"source": constant(source, rows)}
    for field in ("doc_id", "repo", "path", "language"):
        result[field] = (
            _text(given[field], getattr(columns, field), file) if field in given else pa.nulls(rows, pa.string())
        )
    numbers: Array = pa.array(np.arange(first_row + 1, first_row + rows + 1))
    result["position"] = pc.add(numbers, rows_before - 1)
    fallback = pc.binary_join_element_wise(constant(file.name, rows), numbers.cast(pa.string()), "#")
    result["path"] = pc.coalesce(result["path"], fallback)
    result["repo"] = pc.fill_null(result["repo"], "")
    made: Array = pc.binary_join_element_wise(constant(source, rows), result["repo"], result["path"], "/")
    result["doc_id"] = pc.coalesce(result["doc_id"], made)
    for field in _NUMBERS:
        result[field] = _integers(given[field], getattr(columns, field), file) if field in given else zeros(rows)
    if "content" in given:
        result["content"] = _bytes(given["content"], columns.content, file)
    return pa.RecordBatch.from_pydict({name: result[name] for name in READ_SCHEMA.names if name in result})


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
