"""What can be known of a source without reading its documents: files, sizes, rows, a digest of the content.

Not a reader: `runtime.data.sources` reads the documents, with the same listing of files. Neither DuckDB nor
Arrow is loaded here, so that compiling stays fast. No path, owner or time of a file enters a digest: the
same data in another place, or on another machine, has the same one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import string
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import attrs

from compiler.errors import UserError
from compiler.revisions import seen

VCS_NAMES = frozenset({".git", ".hg", ".svn"})
"""Names of files and directories that version control owns; they are no documents."""

WHOLE_LIMIT = 512 << 20
"""Sources of at most so many bytes in all are digested whole."""

_CHUNK = 1 << 20
_THRIFT_VARINTS = (4, 5, 6)  # i16, i32, i64
_THRIFT_ELEMENTS = {1: 1, 2: 1, 3: 1, 7: 8}  # bytes of each in a list; outside one, a boolean is in its head


@attrs.frozen(kw_only=True)
class SourceFile:
    """One file: its name inside the source, where it lies, and its size in bytes."""

    name: str
    path: str
    size: int


@attrs.frozen(kw_only=True)
class SourceStats:
    """A source as the compiler sees it.

    `rows` is None where the format does not say; `repositories` are known of directories only. `rule` tells what
    `digest` covers: "bytes", every byte of every file, or "footer", of each file its size and the Parquet footer (of
    other formats the first and last MiB).
    """

    files: int
    rows: int | None
    bytes: int
    digest: str
    rule: Literal["bytes", "footer"]
    repositories: tuple[str, ...] | None = None


def describe(form: str, location: str, *, name: str) -> SourceStats:
    """Files, bytes, rows and digest of source `name`: a glob of files, or a directory of repositories.

    `form` is "parquet", "jsonl" or "directory". Raises UserError where nothing is found, where all is empty
    and where a Parquet file is truncated or is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as base:
    ...     _ = Path(base, "a.jsonl").write_text('{"content": "x"}')
    ...     stats = describe("jsonl", f"{base}/*.jsonl", name="mine")
    >>> stats.files, stats.bytes, stats.rule
    (1, 16, 'bytes')
    """
    files = sorted(list_files(form, location, name=name), key=lambda file: file.name)
    size = sum(file.size for file in files)
    if not size:
        raise empty_source(name, location, f"files: {len(files)}, bytes: 0")
    whole = size <= WHOLE_LIMIT
    rows = None
    if form == "parquet":
        rows = sum(_rows(file) for file in files)
        if not rows:
            raise empty_source(name, location, f"files: {len(files)}, rows: 0")
    return SourceStats(
        files=len(files),
        rows=rows,
        bytes=size,
        digest=_digest(files, form, whole),
        rule="bytes" if whole else "footer",
        repositories=_repositories(files) if form == "directory" else None,
    )


def _repositories(files: Iterable[SourceFile]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(file.name.partition("/")[0] for file in files))


def list_files(form: str, location: str, *, name: str) -> list[SourceFile]:
    """The files of a source, sorted: those of all repositories for "directory", else those the glob matches.

    A file is named by its path below the part of the location that holds no wildcard. Raises UserError
    where there is none.
    """
    files = list(walk_repositories(location) if form == "directory" else _glob(location))
    if not files:
        wanted = "files in sub-directories (one for each repository)" if form == "directory" else "files"
        raise empty_source(name, location, f"no {wanted} found")
    return files


def walk_repositories(root: str | Path) -> Iterator[SourceFile]:
    """Every regular file of every repository: `REPOSITORY/PATH`, in a fixed order.

    Repositories are the directories right below `root`; files beside them are not read. Symbolic links are
    not followed, neither to files nor to directories, and what version control keeps for itself is passed
    over. Raises UserError where `root` is no directory or one below it cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is not a directory", fix="name a directory that holds one directory a repository")
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = sorted(set(folders) - VCS_NAMES)
        if Path(folder) == root:
            continue
        for name in sorted(set(names) - VCS_NAMES):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                yield SourceFile(name=_printable(os.path.relpath(path, root)), path=path, size=status.st_size)


def _refuse(error: OSError) -> None:
    raise UserError(f"cannot read {error.filename}: {error.strerror}", fix="grant access, or move it out") from error


def _glob(location: str) -> Iterator[SourceFile]:
    if Path(location).is_file():
        found, root = [location], Path(location).parent
    else:
        found, root = sorted(glob.glob(location, recursive=True)), _fixed_part(location)
    for path in _once(found) if "**" in location else found:
        if os.path.isfile(path):
            relative = _printable(os.path.relpath(path, root))
            yield SourceFile(name=relative, path=path, size=os.path.getsize(path))


def _once(found: list[str]) -> list[str]:
    """Each file by its shortest path: `**` follows links, and a ring of them leads to every file forty times."""
    paths: dict[str, str] = {}
    for path in sorted(found, key=lambda path: (path.count(os.sep), path)):
        paths.setdefault(os.path.realpath(path), path)
    return sorted(paths.values())


def _fixed_part(location: str) -> Path:
    """The directory that a glob starts from: what stands before its first wildcard."""
    parts = Path(location).parts
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:wild])


def _printable(name: str) -> str:
    """A file name as valid UTF-8; other bytes appear as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def empty_source(name: str, location: str, what: str) -> UserError:
    """The error for a source in which nothing was found."""
    return UserError(
        f"source {name!r} has no documents: {what} at {location}",
        fix="check the path and its wildcards (`**` for any depth); relative paths start at the spec file",
    )


def _digest(files: Iterable[SourceFile], form: str, whole: bool) -> str:
    """`RULE:HEX`, SHA-256 over name, size and SHA-256 of each file, or of its telling part."""
    digest = hashlib.sha256(b"source1")
    for file in files:
        encoded = file.name.encode()
        digest.update(struct.pack("<QQ", len(encoded), file.size) + encoded)
        if whole:
            with open(file.path, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        else:
            digest.update(hashlib.sha256(_footer(file) if form == "parquet" else _ends(file)).digest())
    return f"{'bytes' if whole else 'footer'}:{digest.hexdigest()}"


def _ends(file: SourceFile) -> bytes:
    """The first and the last MiB of a file."""
    with open(file.path, "rb") as stream:
        head = stream.read(_CHUNK)
        stream.seek(max(file.size - _CHUNK, 0))
        return head + stream.read(_CHUNK)


def _footer(file: SourceFile) -> bytes:
    """The footer of a Parquet file: schema, row groups, statistics; not the data."""
    with open(file.path, "rb") as stream:
        stream.seek(max(file.size - 8, 0))
        tail = stream.read(8)
        length = int.from_bytes(tail[:4], "little")
        if len(tail) < 8 or tail[4:] != b"PAR1" or length + 12 > file.size:
            raise UserError(
                f"{file.path} ({file.size} bytes) is not a whole Parquet file: it does not end in a footer",
                fix="copy or write it again; it may be truncated, encrypted or of another format",
            )
        stream.seek(file.size - 8 - length)
        return stream.read(length)


def _rows(file: SourceFile) -> int:
    try:
        return _parquet_rows(_footer(file))
    except (IndexError, KeyError, RecursionError):
        raise UserError(
            f"{file.path} ({file.size} bytes) is not a Parquet file: its footer cannot be parsed",
            fix="copy or write it again",
        ) from None


def _parquet_rows(footer: bytes) -> int:
    """`num_rows`, the third field of Thrift's FileMetaData in the compact protocol.

    >>> _parquet_rows(bytes([0x15, 2, 0x19, 0x0C, 0x16, 84]))
    42
    """
    field = position = 0
    while True:
        head = footer[position]
        field, kind, position = field + (head >> 4), head & 15, position + 1
        if field == 3:
            value, _ = _varint(footer, position)
            return value >> 1
        position = _skip(footer, position, kind)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if shift > 63:
            raise IndexError("a number of more than 64 bits")
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position


def _skip(data: bytes, position: int, kind: int) -> int:
    """The position after one value of a Thrift type, as far as a Parquet schema has them."""
    if kind in _THRIFT_VARINTS:
        return _varint(data, position)[1]
    if kind == 8:
        length, position = _varint(data, position)
        return position + length
    if kind in (9, 10):
        return _skip_list(data, position)
    if kind == 12:
        return _skip_struct(data, position)
    return position + {1: 0, 2: 0, 3: 1, 7: 8}[kind]


def _skip_list(data: bytes, position: int) -> int:
    head, position = data[position], position + 1
    count = head >> 4
    if count == 15:
        count, position = _varint(data, position)
    if head & 15 in _THRIFT_ELEMENTS:
        return position + count * _THRIFT_ELEMENTS[head & 15]
    for _ in range(count):
        position = _skip(data, position, head & 15)
    return position


def _skip_struct(data: bytes, position: int) -> int:
    while head := data[position]:
        position += 1
        if not head >> 4:
            position = _varint(data, position)[1]
        position = _skip(data, position, head & 15)
    return position + 1


def locate(path: str, base: Path) -> str:
    """A spec's path as an absolute one: `~` and `${NAME}` expanded, relative to the spec file.

    Raises UserError for a variable that is not set, and for a `$` that begins no name.
    """
    unset = unset_variables(path)
    if unset:
        names = " and ".join(unset)
        raise UserError(
            f"path {path!r}: the environment does not set {names}", fix=f"set {names}, or write the path out"
        )
    try:
        expanded = string.Template(path).substitute(os.environ)
    except ValueError:
        raise UserError(
            f"path {path!r}: a $ is not followed by a name", fix="write ${NAME} for a variable, $$ for a dollar sign"
        ) from None
    return str(seen(str(Path(expanded).expanduser()), base))


def unset_variables(path: str) -> list[str]:
    """The variables of a path that the environment does not set.

    >>> unset_variables("~/${NO_SUCH_VARIABLE}/$$a/${NO_SUCH_VARIABLE}")
    ['NO_SUCH_VARIABLE']
    """
    return [name for name in string.Template(path).get_identifiers() if name not in os.environ]


def column_names(file: SourceFile) -> list[str]:
    """Names of a Parquet file's columns at the top level, out of its footer; none where the footer cannot be parsed.

    Raises UserError for what is no whole Parquet file.
    """
    try:
        return _schema_names(_footer(file))
    except (IndexError, KeyError, RecursionError):
        return []


def _schema_names(footer: bytes) -> list[str]:
    """The root's children in `schema`, the second field of Thrift's FileMetaData: a list of elements in preorder."""
    field = position = 0
    while True:
        head = footer[position]
        field, kind, position = field + (head >> 4), head & 15, position + 1
        if field == 2:
            break
        position = _skip(footer, position, kind)
    count, position = footer[position] >> 4, position + 1
    if count == 15:
        count, position = _varint(footer, position)
    elements = []
    for _ in range(count):
        name, children, position = _schema_element(footer, position)
        elements.append((name, children))
    names, at = [], 1
    while at < len(elements):
        names.append(elements[at][0])
        at = _after(elements, at)
    return names


def _after(elements: list[tuple[str, int]], at: int) -> int:
    """The place behind an element and all below it."""
    left = 1
    while left:
        left += elements[at][1] - 1
        at += 1
    return at


def _schema_element(footer: bytes, position: int) -> tuple[str, int, int]:
    """Name (field 4) and number of children (field 5) of one SchemaElement, and the position after it."""
    name, children, field = "", 0, 0
    while head := footer[position]:
        position += 1
        if head >> 4:
            field += head >> 4
        else:
            number, position = _varint(footer, position)
            field = (number >> 1) ^ -(number & 1)
        if field == 4:
            length, start = _varint(footer, position)
            name = footer[start : start + length].decode("utf-8", "replace")
        elif field == 5:
            children = _varint(footer, position)[0] >> 1
        position = _skip(footer, position, head & 15)
    return name, children, position + 1
