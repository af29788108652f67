"""The items of a test set, read from its files: names, texts and the names of the functions asked for.

Whole test sets are held in memory: a benchmark has megabytes, not more.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from compiler import ir
from compiler.errors import UserError
from compiler.metadata import list_files
from runtime.data.contamination.functions import functions

Row = dict[str, Any]
_NUMBER = re.compile(r"(\d+)\D*\Z")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")


@attrs.frozen(kw_only=True)
class Item:
    """One item of a benchmark. `texts` are those of all rows of its name; `entry_point` is "" where none is known."""

    benchmark: str
    name: str
    texts: tuple[str, ...]
    entry_point: str = ""


def read_items(benchmark: ir.TestSet, location: str) -> list[Item]:
    """The items in the files at `location`, in the order of the files.

    Raises UserError for files that cannot be read, fields that are missing or no text, and where no item is left
    between `first` and `last`.
    """
    found: dict[str, Item] = {}
    rows = 0
    for where, row in _rows(benchmark, location):
        rows += 1
        item = _item(benchmark, row, where)
        if _is_wanted(benchmark, item.name, where):
            other = found.get(item.name, item)
            texts = tuple(dict.fromkeys((*other.texts, *item.texts)))
            found[item.name] = attrs.evolve(other, texts=texts, entry_point=other.entry_point or item.entry_point)
    if not found:
        raise UserError(
            f"test set {benchmark.name!r} has no items from {benchmark.first} to {benchmark.last}: {rows} rows",
            where=location,
            fix="correct the path, or first and last",
        )
    return list(found.values())


def _rows(benchmark: ir.TestSet, location: str) -> Iterator[tuple[str, Row]]:
    """Where each row stands, for messages, and its fields."""
    for file in list_files(benchmark.format, location, name=benchmark.name):
        try:
            rows = _parquet(file.path) if benchmark.format == "parquet" else _json_lines(file.path)
            for number, row in enumerate(rows, start=1):
                yield f"{file.path}, row {number}", row
        except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
            raise UserError(
                f"test set {benchmark.name!r} cannot be read: {error}",
                where=file.path,
                fix=f"copy the file again, or correct its format, which the spec says is {benchmark.format}",
            ) from error


def _parquet(path: str) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(256):
            yield from batch.to_pylist()


def _json_lines(path: str) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"a line holds no object: {line[:60]!r}")
                yield row


def _item(benchmark: ir.TestSet, row: Row, where: str) -> Item:
    texts = [_text(benchmark, row, field, where) for field in benchmark.texts]
    entry_point = _text(benchmark, row, benchmark.entry_point, where) if benchmark.entry_point else ""
    if benchmark.defined_in:
        defined = functions(_text(benchmark, row, benchmark.defined_in, where))
        tests = _text(benchmark, row, benchmark.called_in, where) if benchmark.called_in else None
        entry_point = _asked_for(defined, tests)
    return Item(
        benchmark=benchmark.name,
        name=_text(benchmark, row, benchmark.item, where),
        texts=("\n".join(texts),),
        entry_point=entry_point.strip(),
    )


def _asked_for(defined: list[str], tests: str | None) -> str:
    """The last function that tests call; without such a one, the last of all."""
    called = set(_CALL.findall(tests)) if tests is not None else set()
    return next(iter([name for name in reversed(defined) if name in called] or defined[-1:]), "")


def _text(benchmark: ir.TestSet, row: Row, field: str, where: str) -> str:
    """A field as text: a list is one line an element, null is empty."""
    if field not in row:
        raise UserError(
            f"test set {benchmark.name!r} has no field {field!r}; it has {', '.join(sorted(row))}",
            where=where,
            fix="name fields that its rows have",
        )
    value = row[field]
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    lines = []
    for one in values:
        if not isinstance(one, str | int | None):
            raise UserError(
                f"field {field!r} of test set {benchmark.name!r} is a {type(one).__name__}, not a string",
                where=where,
                fix="name a field of text",
            )
        lines.append("" if one is None else str(one))
    return "\n".join(lines)


def _is_wanted(benchmark: ir.TestSet, name: str, where: str) -> bool:
    if benchmark.first is None and benchmark.last is None:
        return True
    number = _NUMBER.search(name)
    if number is None:
        raise UserError(
            f"item {name!r} of test set {benchmark.name!r} has no number, but first or last is given",
            where=where,
            fix="leave first and last out, or name another field as item",
        )
    return (benchmark.first is None or int(number[1]) >= benchmark.first) and (
        benchmark.last is None or int(number[1]) <= benchmark.last
    )
