"""The loop of web recall: sample, segment, then rounds of train, score and expand, settle, and the documents.

Pages are read as a stream by every shard of sample, score and recall; only seeds, the sample and counts of
domains are looked at as a whole, and those by DuckDB, which goes to disk where memory ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from compiler import ir
from compiler.errors import UserError
from compiler.metadata import SourceFile, list_files, locate
from runtime.data import duck
from runtime.data.funnel import Funnel
from runtime.data.operators.reading import documents
from runtime.data.tables import DOCUMENT_SCHEMA, TableWriter, open_parquet
from runtime.data.web import classifier
from runtime.data.web.seeds import Seed, drawn, read_seeds
from runtime.data.web.tables import (
    CANDIDATE_SCHEMA,
    DOMAIN_SCHEMA,
    NEGATIVE_SCHEMA,
    QUALITY_SCHEMA,
    ROUND_SCHEMA,
    SAMPLE_SCHEMA,
    SCORE_SCHEMA,
    SEED_SCHEMA,
    TEXT,
    VERDICT_SCHEMA,
    Verdicts,
)
from runtime.data.web.urls import domain_of, path_of
from runtime.data.web.words import Segmenter, cut, learn
from runtime.task import TaskContext

BATCH_ROWS = 1024
BPE_BYTES = 256 << 20
LANGUAGE = "text"
"""What Linguist calls prose: a page is the text of a page, whatever its URL ends in."""

# ---------------------------------------------------------------- before the rounds


def sample_web(op: ir.SampleWeb, ctx: TaskContext) -> None:
    """Pages of this shard that the draw takes."""
    rows = sum(_rows_of(file) for file in _files(op.readers[0], ctx))
    share = min(Fraction(1), Fraction(op.pages, rows))
    with TableWriter(ctx.output("sample"), SAMPLE_SCHEMA) as writer:
        for batch in _pages(op.readers[0], ctx, None):
            columns = (_strings(batch, name) for name in ("doc_id", "content"))
            writer.write_rows(
                [
                    {"url": url, "text": cut(text, op.page_bytes)}
                    for url, text in zip(*columns, strict=True)
                    if drawn(url, share, op.seed, "sample")
                ]
            )
    ctx.stats["sampled"] = writer.rows


def segment_web(op: ir.SegmentWeb, ctx: TaskContext) -> None:
    """The BPE, then the seed and the negatives in its words."""
    files, sample = _files(op.readers[0], ctx), ctx.files("sample", "sample")

    def seeds() -> Iterator[Seed]:
        return read_seeds(files, op.held_out, op.seed)

    texts = (cut(seed.text, op.page_bytes) for seed in seeds())
    learn(_bounded(texts, sample, op.seed), op.vocab_size, ctx.output("segmenter"))
    segmenter = Segmenter(ctx.output("segmenter"))
    urls, heads = set[str](), set[int]()

    def seed_rows() -> Iterator[dict[str, Any]]:
        for seed in seeds():
            head = cut(seed.text, op.page_bytes)
            urls.add(seed.url)
            heads.add(_short_hash(head))
            yield _seed_row(seed, segmenter.words(head))

    def negative_rows() -> Iterator[dict[str, Any]]:
        for url, text in _sampled(sample):
            if url not in urls and _short_hash(text) not in heads:
                yield {"url": url, "words": segmenter.words(text)}

    with TableWriter(ctx.output("seed"), SEED_SCHEMA) as writer:
        _write(writer, seed_rows())
    if not writer.rows:
        raise UserError(
            f"the seed holds no page with text, in {len(files)} files",
            where=files[0].path,
            fix="fill its column text",
        )
    with TableWriter(ctx.output("negatives"), NEGATIVE_SCHEMA) as negatives:
        _write(negatives, negative_rows())
    ctx.stats.update(seeds=writer.rows, negatives=negatives.rows)


def _write(writer: TableWriter, rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(islice(rows, BATCH_ROWS)):
        writer.write_rows(batch)


def _seed_row(seed: Seed, words: str) -> dict[str, Any]:
    return {"key": seed.key, "url": seed.url, "code": seed.code, "held_out": seed.held_out, "words": words}


def _bounded(seeds: Iterator[str], sample: list[Path], seed: int) -> Iterator[str]:
    """Seeds up to half of `BPE_BYTES`, then so large a part of the sample, by a hash of the URL, as fills the rest."""
    left = BPE_BYTES // 2
    for text in seeds:
        left -= len(text.encode())
        if left < 0:
            break
        yield text
    size = sum(_content_bytes(path) for path in sample)
    share = min(Fraction(1), Fraction(BPE_BYTES // 2, max(size, 1)))
    for url, text in _sampled(sample):
        if drawn(url, share, seed, "bpe"):
            yield text


def _sampled(files: list[Path]) -> Iterator[tuple[str, str]]:
    for path in files:
        with open_parquet(path) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=["url", "text"]):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _content_bytes(path: Path) -> int:
    metadata = pq.read_metadata(path)
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _short_hash(text: str) -> int:
    """64 bits of a digest: Python's own hash of a string is another in each process."""
    import xxhash

    return xxhash.xxh3_64_intdigest(text.encode())


# ---------------------------------------------------------------- rounds


def train_web(op: ir.TrainWeb, ctx: TaskContext) -> None:
    """A classifier, and how it does on the part of the seed that it has not seen."""
    views = {"seed": ctx.files("segment", "seed"), "negatives": ctx.files("segment", "negatives")}
    with duck.session(ctx, **views) as connection:
        _optional_view(connection, "joined", ctx.files("joined", "joined"), CANDIDATE_SCHEMA)
        counts = classifier.train(
            _pairs(connection, ctx.sql["examples"]), op.classifier, ctx.output("model"), ctx.scratch
        )
        quality = _quality(op, connection, ctx)
    quality |= {"positives": counts[classifier.CODE], "negatives": counts[classifier.OTHER]}
    with TableWriter(ctx.output("quality"), QUALITY_SCHEMA) as writer:
        writer.write_rows([quality])
    ctx.stats.update(quality)


def _pairs(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[str, str]]:
    for batch in duck.batches(connection, query):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _quality(op: ir.TrainWeb, connection: duckdb.DuckDBPyConnection, ctx: TaskContext) -> dict[str, int]:
    """Held-out pages, and how many of them are recalled, by label."""
    model = classifier.Classifier(ctx.output("model"))
    held, recalled = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)
    for batch in duck.batches(connection, ctx.sql["held_out"]):
        code = np.array(batch.column("code").to_pylist(), dtype=np.int64)
        hits = model.scores(_strings(batch, "words")) >= op.threshold
        held += np.bincount(code, minlength=2)
        recalled += np.bincount(code[hits], minlength=2)
    names = ("held_other", "held_code", "false_positives", "true_positives")
    return dict(zip(names, map(int, (*held, *recalled)), strict=True))


def score_web(op: ir.ScoreWeb, ctx: TaskContext) -> None:
    """The score of every page of this shard."""
    segmenter = Segmenter(ctx.input("segment").path / "segmenter")
    model = classifier.Classifier(ctx.input("train").path / "model")
    with (
        duck.session(ctx) as connection,
        TableWriter(ctx.output("scores"), SCORE_SCHEMA) as scores,
        TableWriter(ctx.output("candidates"), CANDIDATE_SCHEMA) as candidates,
    ):
        for batch in _pages(op.readers[0], ctx, None):
            page = _scored(batch, segmenter, model, op.page_bytes)
            scores.write(page)
            if op.url_patterns:
                connection.register("page", page)
                for found in duck.batches(connection, ctx.sql["candidates"]):
                    candidates.write(found)
            ctx.progress(scores.rows, 0, "pages")
    ctx.stats.update(pages=scores.rows, candidates=candidates.rows)


def _scored(batch: pa.RecordBatch, segmenter: Segmenter, model: classifier.Classifier, page_bytes: int) -> pa.Table:
    """The pages of a batch with their domains, words and scores."""
    urls = _strings(batch, "doc_id")
    words = segmenter.all_words(cut(text, page_bytes) for text in _strings(batch, "content"))
    return pa.table(
        {
            "position": batch.column("position"),
            "url": pa.array(urls, pa.string()),
            "domain": pa.array([domain_of(url) for url in urls], pa.string()),
            "score": pa.array(model.scores(words)),
            "words": pa.array(words, TEXT),
        }
    )


def expand_web(op: ir.ExpandWeb, ctx: TaskContext) -> None:
    """Domains of this round, and what joins the seed for the next."""
    views = {
        "scores": ctx.files("score", "scores"),
        "candidates": ctx.files("score", "candidates"),
        "quality": ctx.files("train", "quality"),
    }
    with duck.session(ctx, **views) as connection:
        _optional_view(connection, "joined", ctx.files("joined", "joined"), CANDIDATE_SCHEMA)
        connection.execute(ctx.sql["domain"])
        duck.write(connection, ctx.sql["domains"], ctx.output("domains"), DOMAIN_SCHEMA)
        connection.execute(ctx.sql["new"])
        joined = duck.write(connection, ctx.sql["joined"], ctx.output("joined"), CANDIDATE_SCHEMA)
        duck.write(connection, ctx.sql["rounds"], ctx.output("rounds"), ROUND_SCHEMA)
    ctx.stats.update(joined=joined)


# ---------------------------------------------------------------- after the rounds


def settle_web(op: ir.SettleWeb, ctx: TaskContext) -> None:
    """The verdict on every page by the last round's scores, and the tables that a person reads."""
    views = {
        "scores": ctx.files("score", "scores"),
        "seed": ctx.files("segment", "seed"),
        "joined": ctx.files("expand", "joined"),
        "every_round": ctx.files("expand", "rounds"),
        "last_domains": ctx.inputs["expand"][-1].files("domains"),
    }
    with duck.session(ctx, **views) as connection:
        duck.write(connection, ctx.sql["verdicts"], ctx.output("verdicts"), VERDICT_SCHEMA)
        duck.write(connection, ctx.sql["domains"], ctx.output("domains"), DOMAIN_SCHEMA)
        ctx.stats["rounds"] = duck.write(connection, ctx.sql["rounds"], ctx.output("rounds"), ROUND_SCHEMA)


def recall_web(op: ir.RecallWeb, ctx: TaskContext) -> None:
    """The pages of this shard that stay, as documents."""
    (reader,) = op.readers
    verdicts = Verdicts(ctx.files("settle", "verdicts"))
    kept_as: dict[str, int] = {}
    with (
        _PageFunnel(ctx.output("dropped"), reader.source) as funnel,
        TableWriter(ctx.output("documents"), DOCUMENT_SCHEMA) as writer,
    ):
        for batch in _pages(reader, ctx, funnel):
            rows, content = [], batch.column("content")
            for row, verdict in enumerate(verdicts.of(np.asarray(batch.column("position")).tolist())):
                if verdict["rule"]:
                    limit = op.threshold if verdict["rule"] == "below_threshold" else None
                    url = batch.column("doc_id")[row].as_py()
                    funnel.drop(str(url), verdict["rule"], verdict["score"], limit, verdict["kept"])
                    continue
                rows.append(row)
                funnel.keep(LANGUAGE, content[row].as_buffer().size)
                kept_as[verdict["kept_as"]] = kept_as.get(verdict["kept_as"], 0) + 1
            writer.write(_documents(pa.table(batch).take(pa.array(rows, pa.int64())), reader.source))
            ctx.progress(writer.rows, 0, "documents")
    ctx.stats.update(funnel.stats(), kept_as=kept_as)


def _documents(pages: pa.Table, source: str) -> pa.Table:
    """Pages in `DOCUMENT_SCHEMA`: the domain stands for the repository."""
    urls = _strings(pages, "doc_id")
    columns = {
        "doc_id": pa.array([f"{source}/{url}" for url in urls], pa.string()),
        "repo": pa.array([domain_of(url) for url in urls], pa.string()),
        "path": pa.array([path_of(url) for url in urls], pa.string()),
        "language": pa.array([LANGUAGE] * len(urls), pa.string()),
    }
    for name, column in columns.items():
        pages = pages.set_column(pages.schema.get_field_index(name), name, column)
    return pages


class _PageFunnel(Funnel):
    """Dropped pages, called as documents are: SOURCE/URL."""

    def __init__(self, directory: Path, source: str) -> None:
        super().__init__(directory, "recall")
        self._source = source

    def drop(
        self,
        doc_id: str,
        rule: str,
        value: float | None = None,
        threshold: float | None = None,
        kept: str | None = None,
        language: str | None = None,
    ) -> None:
        """Count and write one dropped page, given by its URL."""
        name = f"{self._source}/{doc_id.removeprefix(f'{self._source}//')}"
        super().drop(name, rule, value, threshold, kept, language)


# ---------------------------------------------------------------- reading


def _files(reader: ir.Reader, ctx: TaskContext) -> list[SourceFile]:
    return list_files("parquet", locate(reader.location, ctx.base), name=reader.source)


def _rows_of(file: SourceFile) -> int:
    return int(pq.read_metadata(file.path).num_rows)


def _pages(reader: ir.Reader, ctx: TaskContext, funnel: Funnel | None) -> Iterator[pa.RecordBatch]:
    """Pages of this shard with their URL as `doc_id`; those without one are dropped."""
    for file in _files(reader, ctx):
        _check_columns(file)
    for batch in documents((reader,), ctx, funnel):
        nameless = pc.starts_with(batch.column("doc_id"), f"{reader.source}//")
        if not pc.any(nameless).as_py():
            yield batch
            continue
        if funnel is not None:
            for path in _strings(batch.filter(nameless), "path"):
                funnel.drop(path, "no_url")
        yield batch.filter(pc.invert(nameless))


def _check_columns(file: SourceFile) -> None:
    names = pq.read_schema(file.path).names
    missing = [name for name in ("url", "text") if name not in names]
    if missing:
        raise UserError(
            f"pages have no column {missing[0]!r}; their columns are {', '.join(map(repr, names))}",
            where=file.path,
            fix="write the pages with the columns url and text",
        )


def _strings(table: pa.RecordBatch | pa.Table, column: str) -> list[str]:
    """A column that holds no null."""
    return list(map(str, table.column(column).to_pylist()))


def _optional_view(connection: duckdb.DuckDBPyConnection, name: str, files: list[Path], schema: pa.Schema) -> None:
    """A view over files, or an empty one where there are none: in the first round nothing has joined."""
    if files:
        duck.view(connection, name, files)
    else:
        connection.register(name, schema.empty_table())
