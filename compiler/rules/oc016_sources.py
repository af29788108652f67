"""OC016: every source can be found and read from here, or declares what it holds."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """What `resolve` could not find or read: paths, variables, empty files, truncated Parquet, pinned digests."""
    yield from draft.problems


RULE = Rule(
    "OC016",
    "sources",
    "A path that cannot be read is found out by the first worker, after the queue.",
    find,
    fixed=True,
    teach="""\
Dolma has a validator that checks paths and permissions before its mixer runs (dolma #215): one source that cannot be
read fails the job when the others are read already. Here every source is looked at when the spec is compiled: its
files are listed and digested, the footer of a Parquet file is read. A source that lies on a cluster and cannot be
seen from here says so with `declared=Declared(...)`, and is looked at again when the plan is submitted.
""",
)
