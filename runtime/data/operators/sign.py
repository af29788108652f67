"""sign: the first read of the content. Admits documents and writes their keys; no content."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from compiler import ir
from compiler.emit.duckdb_sql import CHUNK_BITS, near_column
from compiler.errors import UserError
from runtime.data.chunks import Chunks, cut
from runtime.data.funnel import Funnel, Tally
from runtime.data.languages import canonical_language, doc_type, language_of_content
from runtime.data.lsh import band_keys
from runtime.data.minhash import MinHasher
from runtime.data.operators.reading import documents
from runtime.data.tables import TableWriter, schema_of
from runtime.data.texts import digests_of, text_buffers
from runtime.task import TaskContext

KEY_COLUMNS: dict[str, pa.DataType] = {
    "position": pa.int64(),
    "doc_id": pa.string(),
    "repo": pa.string(),
    "language": pa.string(),
    "stars": pa.int64(),
    "commit_time": pa.int64(),
    "bytes": pa.int64(),
    "held_out": pa.bool_(),
    "sha256": pa.binary(),
}
CHUNK_COLUMNS: dict[str, pa.DataType] = {
    "position": pa.int64(),
    "chunk": pa.int64(),
    "start": pa.int64(),
    "stop": pa.int64(),
    "sha256": pa.binary(),
}
SIGNATURE_SCHEMA = schema_of({"repo": pa.string(), "key": pa.int64(), "signature": pa.list_(pa.uint32())})
KNOWN_TEXTS = 1 << 16
"""Texts whose band keys are remembered, so that a copy is not signed again; about 20 MB at 16 bands."""
CHUNKS_AT_ONCE = 1024
"""Chunks signed in one go: a document may have thousands, and a signature of 2048 permutations takes 8 kB."""

Signatures = dict[tuple[str, int], np.ndarray[Any, np.dtype[np.uint32]]]
Bands = np.ndarray[Any, np.dtype[np.uint64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Known = dict[bytes, tuple[Bands, Mask]]


def sign(op: ir.Sign, ctx: TaskContext) -> None:
    """Keys of every admitted document of this shard and of its chunks, and partial signatures of its repositories."""
    signer = _Signer(op)
    with (
        Funnel(ctx.output("dropped"), "admit") as funnel,
        TableWriter(ctx.output("keys"), signer.schema("file", KEY_COLUMNS)) as writer,
        TableWriter(ctx.output("chunks"), signer.schema("chunk", CHUNK_COLUMNS)) as chunks,
    ):
        for batch in documents(op.readers, ctx, funnel):
            admitted = admit(op, batch, funnel)
            if admitted.num_rows:
                writer.write(signer.keys(admitted))
                for rows in signer.chunks(admitted) if op.chunk_tokens else ():
                    chunks.write(rows)
            ctx.progress(writer.rows, 0, "documents")
    with TableWriter(ctx.output("signatures"), SIGNATURE_SCHEMA) as signatures:
        for (repo, index), signature in sorted(signer.repositories.items()):
            signatures.write_rows([{"repo": repo, "key": index, "signature": signature.tolist()}])
    ctx.stats.update(funnel.stats(), seen=funnel.seen)
    if op.chunk_tokens:
        ctx.stats["chunks"] = chunks.rows


def admit(op: ir.Sign, batch: pa.RecordBatch, funnel: Tally) -> pa.Table:
    """The documents let in, with language, size and whether they are held out."""
    columns = {name: batch.column(name).to_pylist() for name in ("doc_id", "repo", "path", "language")}
    data, bounds = text_buffers(batch.column("content"))
    sizes, texts = (bounds[1] - bounds[0]).tolist(), bounds.T.tolist()
    rows, languages, held_out = [], [], []
    for row, (doc_id, repo, path, known, (start, stop)) in enumerate(zip(*columns.values(), texts, strict=True)):
        language = canonical_language(known) if known else language_of_content(path, data.data[start:stop])
        rule = _refusal(op.admit, language, sizes[row])
        if rule:
            limit = float(op.admit.max_bytes) if op.admit and rule == "too_large" else None
            funnel.drop(doc_id, rule, float(sizes[row]), limit, language=language)
            continue
        funnel.keep(language, sizes[row])
        rows.append(row)
        languages.append(language)
        held_out.append(any(fnmatch.fnmatchcase(repo, pattern) for pattern in op.hold_out))
    taken = pa.Table.from_batches([batch])
    if len(rows) < batch.num_rows:  # taking copies the content
        taken = taken.take(pa.array(rows, pa.int64()))
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


class _Signer:
    """SHA-256 and MinHash of batches; permutations that several keys share are computed once, and so are copies."""

    def __init__(self, op: ir.Sign) -> None:
        self._keys: dict[ir.Granularity, list[tuple[int, ir.MinHashKey]]] = {
            granularity: [(i, key) for i, key in enumerate(op.near) if key.granularity == granularity]
            for granularity in ("file", "repository", "chunk")
        }
        self._hashers = {
            _family(key): MinHasher(key.bands * key.rows, key.seed, key.ngram, key.unit) for key in op.near
        }
        self._known: dict[ir.Granularity, Known] = {"file": {}, "chunk": {}}
        if self._parameters("file") == self._parameters("chunk"):
            self._known["chunk"] = self._known["file"]  # most documents are one chunk: they are signed once
        self._chunk_tokens = op.chunk_tokens
        self.repositories: Signatures = {}

    def schema(self, granularity: ir.Granularity, columns: dict[str, pa.DataType]) -> pa.Schema:
        """The columns of a table of keys: those given, then a band key each."""
        return schema_of({**columns, **dict.fromkeys(self._columns(granularity), pa.uint64())})

    def keys(self, table: pa.Table) -> pa.Table:
        """The key rows of admitted documents."""
        content = table.column("content").combine_chunks()
        digests = digests_of(content)
        keys = table.select([name for name in KEY_COLUMNS if name != "sha256"])
        # A repository's signature needs those of all its files, also of copies.
        known = {} if self._keys["repository"] else self._known["file"]
        signed = self._sign(content, digests, known, "file", "repository")
        self._merge_repositories(table, digests, signed)
        return self._with_keys(keys, "file", digests, known)

    def chunks(self, table: pa.Table) -> Iterator[pa.Table]:
        """The key rows of the chunks of admitted documents."""
        chunks = cut(table.column("content").combine_chunks(), self._chunk_tokens)
        _refuse_too_many(chunks, table, self._chunk_tokens)
        position = table.column("position").to_numpy()[chunks.document]
        for start in range(0, len(position), CHUNKS_AT_ONCE):
            part = slice(start, start + CHUNKS_AT_ONCE)
            columns = (position, chunks.number, chunks.start, chunks.stop)
            rows = pa.table([pa.array(column[part]) for column in columns], names=list(CHUNK_COLUMNS)[:-1])
            texts = chunks.texts.slice(start, CHUNKS_AT_ONCE)
            digests = digests_of(texts)
            self._sign(texts, digests, self._known["chunk"], "chunk")
            yield self._with_keys(rows, "chunk", digests, self._known["chunk"])

    def _with_keys(self, rows: pa.Table, granularity: ir.Granularity, digests: list[bytes], known: Known) -> pa.Table:
        """Rows with exact hash and band keys beside them; a text without tokens has no band and resembles nothing."""
        found = [known[digest] for digest in digests]
        bands, absent = np.stack([bands for bands, _ in found]), np.stack([absent for _, absent in found])
        rows = rows.append_column("sha256", pa.array(digests, pa.binary()))
        for number, name in enumerate(self._columns(granularity)):
            rows = rows.append_column(name, pa.array(bands[:, number], mask=absent[:, number]))
        return rows

    def _sign(self, texts: Any, digests: list[bytes], known: Known, *granularities: ir.Granularity) -> _Signed:
        """Signatures by family of the texts that are not known, one a digest; `known` then has the band keys of all."""
        if len(known) > KNOWN_TEXTS:
            known.clear()
        row_of = {digest: row for row, digest in enumerate(digests) if digest not in known}
        rows = sorted(row_of.values())
        wanted = [key for granularity in granularities for _, key in self._keys[granularity]]
        fresh = texts if len(rows) == len(texts) else texts.take(pa.array(rows, pa.int64()))
        signed = {family: self._hashers[family].signatures(fresh) for family in dict.fromkeys(map(_family, wanted))}
        bands, absent = [np.zeros((len(rows), 0), dtype=np.uint64)], [np.zeros((len(rows), 0), dtype=np.bool_)]
        for _, key in self._keys[granularities[0]]:
            signatures, shingles = signed[_family(key)]
            bands.append(band_keys(signatures, key.bands, key.rows))
            absent.append(np.repeat((shingles == 0)[:, None], key.bands, axis=1))
        joined = zip(np.concatenate(bands, axis=1), np.concatenate(absent, axis=1), strict=True)
        known.update(zip([digests[row] for row in rows], joined, strict=True))
        return _Signed({digests[row]: number for number, row in enumerate(rows)}, signed)

    def _merge_repositories(self, table: pa.Table, digests: list[bytes], signed: _Signed) -> None:
        """Elementwise minima per repository: the signature of the union of its files."""
        by_repo: defaultdict[str, list[int]] = defaultdict(list)
        for repo, digest in zip(table.column("repo").to_pylist(), digests, strict=True):
            by_repo[str(repo)].append(signed.row_of.get(digest, -1))
        for index, key in self._keys["repository"]:
            signatures, shingles = signed.by_family[_family(key)]
            for repo, rows in by_repo.items():
                with_words = [row for row in rows if shingles[row]]
                if with_words:
                    lowest = signatures[with_words].min(axis=0)
                    known = self.repositories.get((repo, index))
                    self.repositories[repo, index] = lowest if known is None else np.minimum(known, lowest)

    def _columns(self, granularity: ir.Granularity) -> list[str]:
        return [near_column(i, band) for i, key in self._keys[granularity] for band in range(key.bands)]

    def _parameters(self, granularity: ir.Granularity) -> list[object]:
        return [(*_family(key), key.bands) for _, key in self._keys[granularity]]


_Family = tuple[int, int, int, str]


class _Signed(NamedTuple):
    """What was signed of a batch: the row of each digest, and by family the signatures and numbers of shingles."""

    row_of: dict[bytes, int]
    by_family: dict[_Family, tuple[Any, Any]]


def _family(key: ir.MinHashKey) -> _Family:
    return key.bands * key.rows, key.seed, key.ngram, key.unit


def _refuse_too_many(chunks: Chunks, table: pa.Table, most_words: int) -> None:
    """A chunk's number must fit the bits that it has in an item's."""
    if (last := int(chunks.number.max())) >= 1 << CHUNK_BITS:
        name = table.column("doc_id")[int(chunks.document[chunks.number.argmax()])].as_py()
        raise UserError(
            f"{name} has {last + 1:,} chunks of at most {most_words} words; {1 << CHUNK_BITS:,} are possible",
            fix="raise chunk_tokens, or lower Admit(max_bytes=...)",
        )
