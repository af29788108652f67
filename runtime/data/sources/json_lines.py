"""Documents in JSON Lines, plain or compressed.

A line of a plain file stands at its own byte; lines of a compressed file cannot be found without reading those before
them, so all of them stand where the file begins, and one shard reads it whole.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Collection, Iterator
from typing import Any

import attrs
import pyarrow as pa

from compiler.errors import UserError
from compiler.ir import Columns, Reader
from compiler.metadata import SourceFile, empty_source, list_files
from runtime.data.sources.batches import check_names
from runtime.data.sources.records import Record, batched
from runtime.data.sources.spans import WHOLE, Span

MAX_LINE_BYTES = 256 << 20
_KEY_SAMPLE = 100
_LINE_BITS = 28  # of a position: 2**28 lines a file, 2**14 files
_CHUNK = 1 << 20


def size_of(reader: Reader) -> int:
    """Bytes of the files as they lie on disk."""
    return sum(file.size for file in list_files("jsonl", reader.location, name=reader.source))


def read(reader: Reader, span: Span, *, with_content: bool, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """The lines of a stretch."""
    return batched(_records(reader, span, with_content), reader.source, batch_bytes)


def pick(reader: Reader, positions: Collection[int], *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """The lines at some positions; a file is read up to the last of them, others not at all."""
    return batched(_picked(reader, positions), reader.source, batch_bytes)


def _picked(reader: Reader, positions: Collection[int]) -> Iterator[Record]:
    for index, file in enumerate(list_files("jsonl", reader.location, name=reader.source)):
        wanted = {position for position in positions if position >> _LINE_BITS == index}
        last = max(wanted, default=-1)
        for number, line in _lines(file) if wanted else ():
            position = (index << _LINE_BITS) + number - 1
            if position in wanted:
                yield _record(_parse(line, file, number), reader, file, number, position, with_content=True)
            if position >= last:
                break


def _records(reader: Reader, span: Span, with_content: bool) -> Iterator[Record]:
    files = list_files("jsonl", reader.location, name=reader.source)
    _check_positions(reader, files)
    place, found = 0, False
    for index, file in enumerate(files):
        part = span.within(place, place + file.size)
        if part.stop and (part.start == 0 or _is_plain(file.path)):
            _check_keys(reader.columns, file)
            for number, line in _lines(file, part):
                found = True
                position = (index << _LINE_BITS) + number - 1
                yield _record(_parse(line, file, number), reader, file, number, position, with_content)
        place += file.size
    if not found and not any(True for file in files for _ in _lines(file)):
        raise empty_source(reader.source, reader.location, f"the {len(files)} files it names hold no line")


def _check_positions(reader: Reader, files: list[SourceFile]) -> None:
    if len(files) > 1 << 14:
        raise UserError(
            f"source {reader.source!r} has {len(files)} JSON Lines files, more than {1 << 14}",
            where=reader.location,
            fix="write larger files, or Parquet",
        )


def _lines(file: SourceFile, span: Span = WHOLE) -> Iterator[tuple[int, bytes]]:
    """The lines that begin in a stretch of a file and are not blank, with their numbers from 1."""
    try:
        with _open(file.path) as stream:
            start, number = _first_line(stream, span.start) if _is_plain(file.path) else (0, 1)
            while span.stop is None or start < span.stop or not _is_plain(file.path):
                line = stream.readline(MAX_LINE_BYTES + 1)
                if not line:
                    return
                if len(line) > MAX_LINE_BYTES:
                    raise _bad_line(file, number, f"longer than {MAX_LINE_BYTES} bytes")
                text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if text.strip():
                    yield number, text
                start, number = start + len(line), number + 1
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise UserError(
            f"{file.path} ({file.size} bytes) cannot be read: {error}",
            fix="copy or write the file again, or leave it out of the source",
        ) from error


def _first_line(stream: io.BufferedIOBase, place: int) -> tuple[int, int]:
    """Move to the first line that begins at `place` or after it: where it begins, and its number."""
    number, read, last = 1, 0, b"\n"
    while read < place:
        chunk = stream.read(min(_CHUNK, place - read))
        if not chunk:
            break
        number += chunk.count(b"\n")
        read, last = read + len(chunk), chunk[-1:]
    while last != b"\n":  # within a line, which belongs to the stretch before
        rest = stream.readline(_CHUNK)
        if not rest:
            break
        read, last = read + len(rest), rest[-1:]
        number += last == b"\n"
    return read, number


def _is_plain(path: str) -> bool:
    return not path.endswith((".gz", ".zst", ".zstd"))


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
        check_names(file.path, wanted, list(seen), f"key in the first {_KEY_SAMPLE} lines named", columns)


def _record(
    value: dict[str, Any], reader: Reader, file: SourceFile, number: int, position: int, with_content: bool
) -> Record:
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
    return Record(
        doc_id=text["doc_id"] or f"{reader.source}/{repo}/{path}",
        repo=repo,
        path=path,
        language=text["language"],
        stars=_whole(names.get("stars"), columns.stars, where),
        commit_time=_whole(names.get("commit_time"), columns.commit_time, where),
        content=content.encode("utf-8", "surrogatepass") if content is not None and with_content else None,
        position=position,
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
