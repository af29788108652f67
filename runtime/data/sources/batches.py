"""What every reader makes: batches of `READ_SCHEMA`, of bounded size. And the message for a column that is missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

import attrs
import numpy as np
import pyarrow as pa

from compiler.errors import UserError
from compiler.ir import Columns
from runtime.data.tables import DOCUMENT_SCHEMA, Array, row_sizes

READ_SCHEMA = DOCUMENT_SCHEMA.append(pa.field("position", pa.int64()))
"""Documents as they are read: `position` grows along the source and does not depend on the shards."""

MAX_ROWS = 8192
"""Rows of a batch, at most."""


def split_bytes(batch: pa.RecordBatch, limit: int) -> Iterator[pa.RecordBatch]:
    """Consecutive slices of at most `limit` bytes, or of one row that is larger; none of an empty batch."""
    ends = np.cumsum(row_sizes(batch))
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        count = max(1, int(np.searchsorted(ends, before + limit, side="right")) - start)
        yield batch.slice(start, count)
        start += count


def constant(text: str, rows: int) -> Array:
    """A column of one string."""
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def zeros(rows: int) -> Array:
    """A column of zeros."""
    return pa.array(np.zeros(rows, dtype=np.int64))


def check_names(where: str, wanted: Iterable[str], existing: Sequence[str], kind: str, columns: Columns) -> None:
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
