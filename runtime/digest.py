"""Content digests of outputs: of rows for tables, of names and bytes for files. Shards' digests add up.

A table's digest is that of its rows as a set with counts, so it does not depend on files, shards or order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from compiler.ir import OutputKind


def digest_output(directory: Path, kind: OutputKind) -> dict[str, Any]:
    """The digest of one shard's output in a form that `combine` can add up."""
    files = sorted(path for path in directory.rglob("*") if path.is_file()) if directory.exists() else []
    size = sum(path.stat().st_size for path in files)
    if kind == "table":
        from runtime.data.tables import column_names, digest_files

        total, rows = digest_files(files)
        return {
            "kind": kind,
            "sum": f"{total:064x}",
            "rows": rows,
            "columns": column_names(files),
            "bytes": size,
        }
    listed = {str(path.relative_to(directory)): file_digest(path) for path in files} if kind == "files" else {}
    return {"kind": kind, "files": listed, "bytes": size}


def combine(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One output's digest from those of its shards."""
    parts = list(parts)
    kind = parts[0]["kind"]
    combined: dict[str, Any] = {"kind": kind, "bytes": sum(part["bytes"] for part in parts)}
    if kind == "table":
        from runtime.data.tables import RowDigest, digest_hex, merge

        total = merge(RowDigest(int(part["sum"], 16), part["rows"]) for part in parts)
        combined["rows"] = total.rows
        combined["digest"] = digest_hex(total.sum256, total.rows, parts[0]["columns"])
    elif kind == "files":
        listed = {name: digest for part in parts for name, digest in part["files"].items()}
        combined["digest"] = hash_lines(f"{name}\0{listed[name]}" for name in sorted(listed))
    return combined


def hash_lines(lines: Iterable[str]) -> str:
    """SHA-256 over length-prefixed strings."""
    digest = hashlib.sha256()
    for line in lines:
        data = line.encode()
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
