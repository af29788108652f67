"""The first documents of a source, and what can be told of them without an engine: for a look, never for a result.

Reads at most MOST_BYTES, of files that lie here, and decides nothing: no plan depends on what it returns. Documents
that cannot be read are passed over; the worker, which reads all, says what is wrong with them.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import attrs

from compiler.errors import UserError
from compiler.metadata import list_files, walk_repositories
from ocspec.sources import Columns, Directory, JsonLines, Parquet, Source

MOST_DOCUMENTS = 200
MOST_BYTES = 1_000_000
MOST_OF_ONE = 100_000

SIGNALS = ("size_file_byte", "num_chars", "num_lines", "num_chars_line_max", "num_chars_line_mean")
"""Those of `runtime.data.signals` that need no more than the text."""

COLUMNS = ("repo", "path", "stars", "bytes")


@attrs.frozen(kw_only=True)
class Document:
    """One document; names are empty and `stars` is 0 where the source has none."""

    content: str
    repo: str = ""
    path: str = ""
    stars: int = 0

    @property
    def values(self) -> dict[str, float | str]:
        r"""SIGNALS and COLUMNS, as the runtime has them.

        >>> values = Document(content="ab\ncde\n").values
        >>> [values[name] for name in SIGNALS]
        [7, 7, 2, 4, 3.5]
        """
        lines = self.content.split("\n")
        lines = lines[:-1] if lines[-1] == "" else lines
        size, characters = len(self.content.encode("utf-8", "replace")), len(self.content)
        longest = min(max(map(len, lines), default=0) + 1, characters)
        numbers = (size, characters, len(lines), longest, characters / max(1, len(lines)))
        about: dict[str, float | str] = {"repo": self.repo, "path": self.path, "stars": self.stars, "bytes": size}
        return {**dict(zip(SIGNALS, numbers, strict=True)), **about}


def first_documents(source: Source, location: str) -> list[Document]:
    """At most MOST_DOCUMENTS from the beginning of a source; none of sources that are not files here."""
    try:
        if isinstance(source, Directory):
            return list(islice(_of_directory(location), MOST_DOCUMENTS))
        if isinstance(source, JsonLines):
            return list(islice(_of_lines(source, location), MOST_DOCUMENTS))
        return _of_parquet(source, location) if isinstance(source, Parquet) else []
    except (OSError, UserError, EOFError):
        return []


def _of_directory(root: str) -> Iterator[Document]:
    left = MOST_BYTES
    for file in islice(walk_repositories(root), 5 * MOST_DOCUMENTS):
        if not 0 < file.size <= MOST_OF_ONE:
            continue
        left -= file.size
        if left < 0:
            return
        repo, _, path = file.name.partition("/")
        try:
            yield Document(content=Path(file.path).read_text(encoding="utf-8"), repo=repo, path=path)
        except UnicodeDecodeError:
            continue


def _of_lines(source: JsonLines, location: str) -> Iterator[Document]:
    for row in first_rows(location, source.name):
        found = _document(row, source.columns)
        if found is not None:
            yield found


def first_rows(location: str, name: str) -> Iterator[dict[str, object]]:
    """Objects on the first lines of the first file of JSON Lines, also compressed; what is no object is passed over."""
    file = list_files("jsonl", location, name=name)[0]
    with gzip.open(file.path) if file.path.endswith(".gz") else open(file.path, "rb") as stream:
        head = stream.read(MOST_BYTES)
    for line in islice(io.BytesIO(head), 2 * MOST_DOCUMENTS):
        if not line.endswith(b"\n") and len(head) == MOST_BYTES:
            return  # cut in the middle
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # a line may be nested as deep as it likes
            continue
        if isinstance(row, dict):
            yield row


def _document(row: dict[str, object], columns: Columns) -> Document | None:
    content, repo, path = (row.get(name) for name in (columns.content, columns.repo, columns.path))
    stars = row.get(columns.stars)
    if not isinstance(content, str):
        return None
    return Document(
        content=content,
        repo=repo if isinstance(repo, str) else "",
        path=path if isinstance(path, str) else "",
        stars=stars if isinstance(stars, int) else 0,
    )


def _of_parquet(source: Parquet, location: str) -> list[Document]:
    """By DuckDB, which is loaded only here."""
    import duckdb

    columns = source.columns
    wanted = [name for name in (columns.content, columns.repo, columns.path, columns.stars) if name]
    listed = ", ".join('"' + name.replace('"', '""') + '"' for name in wanted)
    file = list_files("parquet", location, name=source.name)[0].path
    query = f"SELECT {listed} FROM read_parquet(?) LIMIT {MOST_DOCUMENTS}"  # noqa: S608 - quoted above
    with duckdb.connect() as connection:
        try:
            rows = connection.execute(query, [file]).fetchall()
        except duckdb.Error:
            return []
    found = (_document(dict(zip(wanted, row, strict=True)), columns) for row in rows)
    return [document for document in found if document is not None]
