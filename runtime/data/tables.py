"""Tables on disk: the two schemas every step shares, a bounded Parquet writer, the digest of a table's rows.

Not the store: nothing here knows of tasks or fingerprints. The digest is of rows, never of files, so that the
same rows have the same digest whatever the shards, row groups, writer or compression.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from compiler.errors import UserError
from compiler.files import sync_directory

Array = Any
"""An Arrow array; the published stubs of pyarrow know too few of the methods."""

_DOCUMENT_COLUMNS: dict[str, pa.DataType] = {
    "doc_id": pa.string(),
    "source": pa.string(),
    "repo": pa.string(),
    "path": pa.string(),
    "language": pa.string(),
    "stars": pa.int64(),
    "commit_time": pa.int64(),
    "content": pa.large_string(),
}
_DROPPED_COLUMNS: dict[str, pa.DataType] = {
    "doc_id": pa.string(),
    "step": pa.string(),
    "rule": pa.string(),
    "value": pa.float64(),
    "threshold": pa.float64(),
    "kept": pa.string(),
}


def schema_of(columns: dict[str, pa.DataType]) -> pa.Schema:
    """A schema by column; its type is wide enough for columns of several types."""
    return pa.schema(columns)


DOCUMENT_SCHEMA = pa.schema(_DOCUMENT_COLUMNS)
"""One source file a row; `commit_time` in Unix seconds, 0 where unknown; `content` is UTF-8 without NUL."""

DROPPED_SCHEMA = pa.schema(_DROPPED_COLUMNS)
"""One removed document a row: the step and rule that removed it, and the representative kept in its stead."""

ROW_GROUP_BYTES = 32 << 20
ROW_GROUP_ROWS = 65_536
_DIGEST_SLICE_BYTES = 16 << 20
_DIGEST_SLICE_ROWS = 32_768
_PAGE_CHECK_ROWS = 128  # a page may end only after so many rows: Arrow's 1024 would give pages of many MB
_MODULUS = 1 << 256
_NO_SEPARATOR = pa.scalar(b"", pa.large_binary())


class TableWriter:
    """Writes rows as zstd Parquet files `PART-00000.parquet` ... whose names appear only at the end.

    Memory holds one row group (about `ROW_GROUP_BYTES`, at least one row). Files and row groups are cut by
    the rows alone, so that the bytes do not depend on how the rows were batched. Files are written aside,
    fsynced and renamed on a clean exit; on an exception they are removed. Without any row, one empty file is
    written. Pages carry checksums: without them most flipped bits are read back as other rows.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     with TableWriter(name, DROPPED_SCHEMA) as writer:
    ...         writer.write_rows([{"doc_id": "a", "step": "admit", "rule": "too_large", "value": 9e6}])
    ...     [path.name for path in writer.files], writer.rows
    (['part-00000.parquet'], 1)
    """

    def __init__(
        self,
        directory: str | Path,
        schema: pa.Schema,
        part: str = "part",
        *,
        max_rows: int = 4_000_000,
        max_bytes: int = 1 << 30,
    ) -> None:
        """Start an empty table; `max_rows` and `max_bytes` (uncompressed) bound each file."""
        self.directory = Path(directory)
        self.schema = schema
        self.part = part
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self.files: list[Path] = []
        self.rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0
        self._file_rows = self._file_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._sink: Any = None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException:
            self._abandon()
            raise
        if kind is not None:
            self._abandon()

    def write_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows given as dictionaries; a missing nullable column is null."""
        if rows:
            self.write(pa.RecordBatch.from_pylist(list(rows), schema=self.schema))

    def write(self, table: pa.RecordBatch | pa.Table) -> None:
        """Append rows; columns are picked by name and cast to the schema where nothing is lost."""
        table = pa.table(table) if isinstance(table, pa.RecordBatch) else table
        for batch in table.select(self.schema.names).cast(self.schema).to_batches():
            self._append(batch)

    def _append(self, batch: pa.RecordBatch) -> None:
        """Cut `batch` where a row group is full: after the first row that reaches a limit."""
        ends = np.cumsum(row_sizes(batch))
        start = 0
        while start < batch.num_rows:
            before = int(ends[start - 1]) if start else 0
            room = min(ROW_GROUP_BYTES - self._pending_bytes, self.max_bytes - self._file_bytes)
            by_bytes = int(np.searchsorted(ends, before + room)) + 1 - start
            by_rows = min(ROW_GROUP_ROWS, self.max_rows - self._file_rows) - self._pending_rows
            count = min(by_bytes, by_rows, batch.num_rows - start)
            taken = int(ends[start + count - 1]) - before
            self._pending.append(batch.slice(start, count))
            self._pending_rows += count
            self._pending_bytes += taken
            self._file_bytes += taken
            start += count
            if count in (by_bytes, by_rows):
                self._flush()

    def _flush(self) -> None:
        """Write the pending rows as one row group, and close the file where it is full."""
        if self._writer is None:
            self._open()
        assert self._writer is not None
        table = pa.Table.from_batches(self._pending, schema=self.schema)
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
        self.rows += table.num_rows
        self._file_rows += table.num_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        if self._file_rows >= self.max_rows or self._file_bytes >= self.max_bytes:
            self._close()

    def _open(self) -> None:
        self.files.append(self.directory / f"{self.part}-{len(self.files):05d}.parquet")
        self._sink = _aside(self.files[-1]).open("wb")
        # Long text is written plain: a dictionary of it would be given up at 1 MB, after hashing every value.
        short: Any = [field.name for field in self.schema if field.type != pa.large_string()]
        self._writer = pq.ParquetWriter(
            self._sink,
            self.schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=short,
            write_batch_size=_PAGE_CHECK_ROWS,
            write_page_checksum=True,
        )

    def _close(self) -> None:
        assert self._writer is not None
        self._writer.close()
        self._sink.flush()
        os.fsync(self._sink.fileno())
        self._sink.close()
        self._writer = self._sink = None
        self._file_rows = self._file_bytes = 0

    def _finish(self) -> None:
        if self._pending or not self.files:
            self._flush()
        if self._writer is not None:
            self._close()
        for path in self.files:
            _aside(path).replace(path)
        sync_directory(self.directory)

    def _abandon(self) -> None:
        if self._writer is not None:
            with suppress(Exception):  # a writer that is left open writes to the closed file once it is collected
                self._writer.close()
        if self._sink is not None:
            self._sink.close()
        for path in self.files:
            _aside(path).unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def row_sizes(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Bytes of each row: the text of text columns, 8 for each number and each element of a list.

    >>> row_sizes(pa.record_batch({"n": [1, 2], "s": ["", "abc"]})).tolist()
    [8, 11]
    """
    sizes = np.zeros(batch.num_rows, dtype=np.int64)
    column: Array
    for column in batch.columns:
        kind = column.type
        if is_text(kind):
            lengths: Array = pc.binary_length(column)
            sizes += lengths.fill_null(0).to_numpy(zero_copy_only=False)
        elif _is_list(kind):
            sizes += 8 * _list_lengths(column)
        else:
            sizes += 8
    return sizes


class RowDigest(NamedTuple):
    """A multiset of rows: the sum of their SHA-256 modulo 2**256, and how many they are."""

    sum256: int
    rows: int


def merge(digests: Iterable[RowDigest]) -> RowDigest:
    """The digest of all the rows of several tables with the same columns, without reading them again.

    >>> merge([RowDigest(2**256 - 1, 3), RowDigest(2, 1)])
    RowDigest(sum256=1, rows=4)
    """
    parts = list(digests)
    return RowDigest(sum(part.sum256 for part in parts) % _MODULUS, sum(part.rows for part in parts))


def digest_hex(sum256: int, rows: int, schema_names: Iterable[str]) -> str:
    """The content digest of a table: 64 hex digits over the sum, the number of rows and the column names.

    >>> digest_hex(0, 0, ["b", "a"]) == digest_hex(0, 0, ["a", "b"]) != digest_hex(0, 0, ["ab"])
    True
    """
    head = b"rows1" + sum256.to_bytes(32, "big") + rows.to_bytes(8, "big")
    return hashlib.sha256(head + _encode_names(schema_names)).hexdigest()


def row_digest(rows: pa.Table | Iterable[pa.RecordBatch]) -> RowDigest:
    """The digest of rows, whatever their order, batches, files and order of columns.

    A row is encoded injectively: the column names, then for each cell, sorted by name, a type tag, a length
    and the bytes. Widths of integers and floats, and string against large_string, do not count; null is a
    value of its own. The sum guards against accident; it does not withstand rows crafted to collide.

    Raises UserError for NaN and for column types that have no encoding (timestamps, decimals, structs).

    >>> a, b = pa.table({"x": ["a", "ab"], "y": ["bc", "c"]}), pa.table({"y": ["c", "bc"], "x": ["ab", "a"]})
    >>> row_digest(a) == row_digest(b)
    True
    """
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    return merge(_digest_slice(part) for batch in batches for part in _slices(batch))


def open_parquet(path: str | Path) -> pq.ParquetFile:
    """A Parquet file to be read as a stream, with checksums of pages verified where it has them.

    Both a buffer and no reading ahead are needed, or a whole row group lies in memory. What remains is one
    page of each column, as large as its writer made it.
    """
    return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True)


def digest_files(paths: Iterable[Path]) -> RowDigest:
    """The digest of the rows of Parquet files, streaming; all must have the same columns.

    Raises OSError where the checksum of a page does not hold.
    """
    return merge(_digest_file(path) for path in paths)


def column_names(paths: Sequence[Path]) -> list[str]:
    """The columns of a table, read from its first file."""
    return list(pq.read_schema(paths[0]).names)


def _digest_file(path: Path) -> RowDigest:
    with open_parquet(path) as file:
        return merge(
            row_digest(file.iter_batches(batch_rows(file.metadata.row_group(group)), row_groups=[group]))
            for group in range(file.num_row_groups)
        )


def batch_rows(
    group: pq.RowGroupMetaData,
    limit_bytes: int = _DIGEST_SLICE_BYTES,
    limit_rows: int = _DIGEST_SLICE_ROWS,
    wanted: Callable[[str], bool] = lambda _: True,
) -> int:
    """How many rows of a row group to decode at a time, so that on average they take `limit_bytes`.

    `wanted` picks columns by their path. At least 1, at most `limit_rows`, which bounds what
    dictionary-encoded pages, smaller than what they decode to, can grow to.
    """
    chunks = (group.column(i) for i in range(group.num_columns))
    size = sum(chunk.total_uncompressed_size for chunk in chunks if wanted(chunk.path_in_schema))
    return max(1, min(limit_rows, limit_bytes * group.num_rows // max(size, 1)))


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Pieces of a batch of about `_DIGEST_SLICE_BYTES`: hashing copies them once."""
    average = batch.nbytes // max(batch.num_rows, 1) + 1
    step = max(1, min(_DIGEST_SLICE_ROWS, _DIGEST_SLICE_BYTES // average))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _digest_slice(batch: pa.RecordBatch) -> RowDigest:
    names = sorted(batch.schema.names)
    if len(set(names)) < len(names):
        raise UserError(f"two columns have the same name, of {names}", fix="rename one of them")
    prefix = hashlib.sha256(_encode_names(names)).digest()
    rows = _encode_cells([(name, batch.column(name)) for name in names], batch.num_rows, prefix)
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, dtype="<i8")[: batch.num_rows + 1].tolist()
    view = memoryview(data)
    sha256 = hashlib.sha256
    hashes = b"".join([sha256(view[start:end]).digest() for start, end in pairwise(ends)])
    # Eight columns of 32-bit words: a sum of 2**31 of them still fits 64 bits.
    words = np.frombuffer(hashes, dtype=">u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64)
    total = sum(int(word) << (32 * (7 - i)) for i, word in enumerate(words))
    return RowDigest(total % _MODULUS, batch.num_rows)


def _encode_names(names: Iterable[str]) -> bytes:
    encoded = [name.encode() for name in sorted(names)]
    return b"".join(len(name).to_bytes(8, "little") + name for name in encoded)


def _encode_cells(cells: Sequence[tuple[str, Array]], rows: int, prefix: bytes = b"") -> Array:
    """One byte string a row: prefix, a tag and 8 bytes for each column, then the payloads in the same order.

    The 8 bytes are the value of a number or the length of a payload, so that the whole can be parsed back in
    only one way.
    """
    fields = [("prefix", f"S{len(prefix)}")] if prefix else []
    fields += [part for i in range(len(cells)) for part in ((f"tag{i}", "u1"), (f"word{i}", "<u8"))]
    header = np.zeros(rows, dtype=np.dtype(fields))
    if prefix:
        header["prefix"] = prefix
    payloads: list[Array] = []
    for i, (name, column) in enumerate(cells):
        tags, words, payload = _encode_column(name, column)
        null = column.is_null().to_numpy(zero_copy_only=False)
        header[f"tag{i}"] = np.where(null, ord("n"), tags)
        header[f"word{i}"] = np.where(null, np.uint64(0), words)
        if payload is not None:
            payloads.append(payload)
    fixed = pa.Array.from_buffers(pa.binary(header.itemsize), rows, [None, pa.py_buffer(header.tobytes())])
    joined = fixed.cast(pa.large_binary())
    return pc.binary_join_element_wise(joined, *payloads, _NO_SEPARATOR) if payloads else joined


_Encoded = tuple[Any, Any, Array | None]


def _encode_column(name: str, column: Array) -> _Encoded:
    """Tags, words and payloads of a column; the caller overwrites what stands in the place of a null."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _encode_column(name, column.dictionary_decode())
    if pa.types.is_null(kind):
        return ord("n"), np.uint64(0), None
    if pa.types.is_boolean(kind):
        return ord("b"), _values(column, np.bool_).astype(np.uint64), None
    if pa.types.is_integer(kind):
        return _encode_integers(column)
    if pa.types.is_floating(kind):
        return _encode_floats(name, column)
    if is_text(kind):
        payload = pc.fill_null(column.cast(pa.large_binary()), b"")
        tag = "s" if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view() else "y"
        return ord(tag), pc.binary_length(payload).to_numpy().view(np.uint64), payload
    if _is_list(kind):
        return _encode_lists(name, column)
    raise UserError(
        f"column {name!r} has type {kind}, which has no row digest",
        fix="write it as an integer, a float, a string or a list of these",
    )


def _encode_integers(column: Array) -> _Encoded:
    """Two's complement in 8 bytes; from 2**63 on, another tag, not to be taken for negative ones."""
    if column.type != pa.uint64():
        return ord("i"), _values(column.cast(pa.int64()), np.int64).view(np.uint64), None
    words = _values(column, np.uint64)
    return np.where(words >> np.uint64(63), ord("I"), ord("i")), words, None


def _encode_floats(name: str, column: Array) -> _Encoded:
    values = _values(column.cast(pa.float64()), np.float64)
    if np.isnan(values).any():
        raise UserError(
            f"column {name!r} has {int(np.isnan(values).sum())} NaN in {len(values)} rows",
            fix="NaN equals nothing: write null where there is no value",
        )
    return ord("f"), values.view(np.uint64), None


def _encode_lists(name: str, column: Array) -> _Encoded:
    """The payload of a list is its elements' encodings end to end: slices of one buffer, no copy."""
    values = column.flatten()
    if not len(values):
        return ord("l"), np.uint64(0), None
    _, element_offsets, data = _encode_cells([(name, values)], len(values)).buffers()
    element_ends = np.frombuffer(element_offsets, dtype="<i8")
    offsets = element_ends[np.concatenate(([0], np.cumsum(_list_lengths(column))))]
    payload: Array = pa.Array.from_buffers(
        pa.large_binary(), len(column), [None, pa.py_buffer(offsets.tobytes()), data]
    )
    return ord("l"), np.diff(offsets).view(np.uint64), payload


def _values(column: Array, dtype: Any) -> Any:
    """The values as NumPy, with zero for null."""
    filled = pc.fill_null(column, pa.scalar(0).cast(column.type)) if column.null_count else column
    return np.ascontiguousarray(filled.to_numpy(zero_copy_only=False), dtype=dtype)


def _list_lengths(column: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    lengths: Array = pc.list_value_length(column)
    return np.asarray(lengths.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings or bytes, of any width."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or kind in (pa.string_view(), pa.binary_view())
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
