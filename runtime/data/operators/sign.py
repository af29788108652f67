"""sign: the first read of the content. Admits documents and writes their keys; no content."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa

from compiler import ir
from runtime.data.funnel import Funnel
from runtime.data.languages import doc_type, language_of
from runtime.data.lsh import band_keys
from runtime.data.minhash import MinHasher
from runtime.data.operators.reading import documents
from runtime.data.tables import TableWriter, schema_of
from runtime.task import TaskContext

KEY_COLUMNS: dict[str, pa.DataType] = {
    "doc_id": pa.string(),
    "repo": pa.string(),
    "language": pa.string(),
    "stars": pa.int64(),
    "commit_time": pa.int64(),
    "bytes": pa.int64(),
    "held_out": pa.bool_(),
    "sha256": pa.binary(),
}
SIGNATURE_SCHEMA = schema_of({"repo": pa.string(), "key": pa.int64(), "signature": pa.list_(pa.uint32())})
Signatures = dict[tuple[str, int], np.ndarray[Any, np.dtype[np.uint32]]]


def sign(op: ir.Sign, ctx: TaskContext) -> None:
    """Keys of every admitted document of this shard, and partial signatures of its repositories."""
    signer = _Signer(op)
    schema = pa.schema({**KEY_COLUMNS, **{f"near_{i}": pa.list_(pa.uint64()) for i in signer.file_keys}})
    with Funnel(ctx.output("dropped"), "admit") as funnel, TableWriter(ctx.output("keys"), schema) as writer:
        for batch in documents(op.readers, ctx, funnel):
            admitted = _admit(op, batch, funnel)
            if admitted.num_rows:
                writer.write(signer.keys(admitted))
            ctx.progress(writer.rows, 0, "documents")
    with TableWriter(ctx.output("signatures"), SIGNATURE_SCHEMA) as signatures:
        for (repo, index), signature in sorted(signer.repositories.items()):
            signatures.write_rows([{"repo": repo, "key": index, "signature": signature.tolist()}])
    ctx.stats.update(funnel.stats())


def _admit(op: ir.Sign, batch: pa.RecordBatch, funnel: Funnel) -> pa.Table:
    """The documents let in, with language, size and whether they are held out."""
    columns = {name: batch.column(name).to_pylist() for name in ("doc_id", "repo", "path", "language")}
    sizes = np.diff(_offsets(batch.column("content"))).tolist()
    rows, languages, held_out = [], [], []
    for row, (doc_id, repo, path, known) in enumerate(zip(*columns.values(), strict=True)):
        language = known.lower() if known else language_of(path)
        rule = _refusal(op.admit, language, sizes[row])
        if rule:
            limit = float(op.admit.max_bytes) if op.admit and rule == "too_large" else None
            funnel.drop(doc_id, rule, float(sizes[row]), limit)
            continue
        funnel.keep(language, sizes[row])
        rows.append(row)
        languages.append(language)
        held_out.append(any(fnmatch.fnmatchcase(repo, pattern) for pattern in op.hold_out))
    taken = pa.Table.from_batches([batch]).take(pa.array(rows, pa.int64()))
    taken = taken.set_column(taken.schema.get_field_index("language"), "language", pa.array(languages, pa.string()))
    taken = taken.append_column("bytes", pa.array([sizes[row] for row in rows], pa.int64()))
    return taken.append_column("held_out", pa.array(held_out, pa.bool_()))


def _refusal(admit: ir.AdmitRule | None, language: str | None, size: int) -> str | None:
    if size == 0:
        return "empty"
    if admit is None:
        return None
    if size > admit.max_bytes:
        return "too_large"
    if language is None:
        return "unknown_language"
    if admit.languages and language not in admit.languages:
        return "language_not_admitted"
    return None if doc_type(language) in admit.doc_types else "doc_type_not_admitted"


def _offsets(content: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Byte offsets of a large_string column."""
    offsets = np.frombuffer(content.buffers()[1], dtype=np.int64)
    return offsets[content.offset : content.offset + len(content) + 1]


class _Signer:
    """SHA-256 and MinHash of batches; permutations that several keys share are computed once."""

    def __init__(self, op: ir.Sign) -> None:
        self._keys = op.near
        self.file_keys = [i for i, key in enumerate(op.near) if key.granularity == "file"]
        self._hashers = {_family(key): MinHasher(key.bands * key.rows, key.seed, key.ngram) for key in op.near}
        self.repositories: Signatures = {}

    def keys(self, table: pa.Table) -> pa.Table:
        """The key rows of admitted documents."""
        content = table.column("content").combine_chunks()
        signed = {family: hasher.signatures(content) for family, hasher in self._hashers.items()}
        digests = [hashlib.sha256(text.as_buffer()).digest() for text in content]
        keys = table.select([name for name in KEY_COLUMNS if name != "sha256"])
        keys = keys.append_column("sha256", pa.array(digests, pa.binary()))
        for index, key in enumerate(self._keys):
            signatures, shingles = signed[_family(key)]
            if key.granularity == "file":
                bands = band_keys(signatures, key.bands, key.rows)
                rows = [band.tolist() if n else None for band, n in zip(bands, shingles, strict=True)]
                keys = keys.append_column(f"near_{index}", pa.array(rows, pa.list_(pa.uint64())))
            else:
                self._merge(index, list(map(str, table.column("repo").to_pylist())), signatures[shingles > 0], shingles)
        return keys

    def _merge(self, index: int, repos: list[str], signatures: Any, shingles: Any) -> None:
        """Elementwise minima per repository: the signature of the union of its files."""
        by_repo: defaultdict[str, list[int]] = defaultdict(list)
        with_text = [repo for repo, n in zip(repos, shingles, strict=True) if n]
        for row, repo in enumerate(with_text):
            by_repo[repo].append(row)
        for repo, rows in by_repo.items():
            lowest = signatures[rows].min(axis=0)
            known = self.repositories.get((repo, index))
            self.repositories[repo, index] = lowest if known is None else np.minimum(known, lowest)


def _family(key: ir.MinHashKey) -> tuple[int, int, int]:
    return key.bands * key.rows, key.seed, key.ngram
