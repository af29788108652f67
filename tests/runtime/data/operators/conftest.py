"""Operators run by hand: inputs as directories, a TaskContext, and the rows that come out as text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compiler.emit.duckdb_sql import queries
from compiler.ir import Operator
from runtime.data.bpe import TOKENIZER_FILE, Encoder, train_bpe
from runtime.data.refined import REFINED_SCHEMA, SELECTION_SCHEMA
from runtime.data.tables import DOCUMENT_SCHEMA
from runtime.task import Artifact, TaskContext

Rows = Iterable[Mapping[str, Any]]
Run = Callable[[Any, TaskContext], None]


class Bench:
    """Makes artefacts and runs operators on them, in directories of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._numbers = itertools.count()

    def directory(self) -> Path:
        """A new directory."""
        path = self.root / str(next(self._numbers))
        path.mkdir()
        return path

    def table(self, output: str, rows: Rows, schema: pa.Schema | None = None, files: int = 1) -> Artifact:
        """An artefact with one table, its rows dealt out to several files."""
        path = self.directory()
        everything = list(rows)
        (path / output).mkdir()
        for number in range(files):
            part = pa.Table.from_pylist(everything[number::files], schema=schema)
            pq.write_table(part, path / output / f"{number:05d}-part.parquet")
        return Artifact(path=path)

    def json_lines(self, rows: Rows) -> str:
        """The path of a JSON Lines file."""
        path = self.directory() / "rows.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return str(path)

    def context(self, op: Operator, shard: int = 0, shards: int = 1, **inputs: Sequence[Artifact]) -> TaskContext:
        """What the worker would give."""
        path = self.directory()
        for name in ("out", "scratch", "resume"):
            (path / name).mkdir()
        return TaskContext(
            task_id="task",
            out=path / "out",
            scratch=path / "scratch",
            resume=path / "resume",
            cache=self.root / "cache",
            shard=shard,
            shards=shards,
            inputs={role.replace("__", ":"): tuple(artifacts) for role, artifacts in inputs.items()},
            sql=queries(op),
            base=self.root,
            memory_mb=1024,
        )

    def run(self, run: Run, op: Operator, shards: int = 1, **inputs: Sequence[Artifact]) -> Artifact:
        """All shards of an operator; their outputs lie side by side, as the store would have them."""
        path, stats = self.directory(), []
        for shard in range(shards):
            ctx = self.context(op, shard, shards, **inputs)
            run(op, ctx)
            stats.append(ctx.stats)
            for file in [file for file in ctx.out.rglob("*") if file.is_file()]:
                relative = file.relative_to(ctx.out)
                name = relative if shards == 1 else relative.with_name(f"{shard:05d}-{relative.name}")
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                file.rename(path / name)
        return Artifact(path=path, manifest={"stats": stats[0] if shards == 1 else stats})


def position_of(name: str) -> int:
    """A position for a name of at most 7 letters; positions stand in the order of names, which `name_at` gives back."""
    assert len(name) <= 7
    return int.from_bytes(name.encode().ljust(7, b"\0"))


def name_at(position: int) -> str:
    """The name that stands at a position."""
    return position.to_bytes(7).rstrip(b"\0").decode()


def rows(artifact: Artifact, output: str) -> list[dict[str, Any]]:
    """The rows of one output, in the order of its files."""
    return [row for file in artifact.files(output) for row in pq.read_table(file).to_pylist()]


def text(artifact: Artifact, output: str, *columns: str) -> str:
    """The rows of one output, sorted, a line each: its columns between bars."""
    found = rows(artifact, output)
    names = columns or tuple(found[0]) if found else ()
    return "".join(sorted(" | ".join(str(row[name]) for name in names) + "\n" for row in found))


def document(doc_id: str, content: str, **more: Any) -> dict[str, Any]:
    """A row of DOCUMENT_SCHEMA; the id is REPO/PATH."""
    repo, _, path = doc_id.partition("/")
    row = {"doc_id": doc_id, "source": "s", "repo": repo, "path": path, "language": None, "stars": 0, "commit_time": 0}
    return {**row, "content": content, **more}


def refined(doc_id: str, content: str, **more: Any) -> dict[str, Any]:
    """A row of REFINED_SCHEMA: Python, not held out."""
    row = document(doc_id, content, language="python")
    return {**row, "bytes": len(content.encode()), "held_out": False, "position": 0, **more}


def dealt(found: Sequence[Mapping[str, Any]], files: int) -> dict[str, int]:
    """The position of each document once its rows are dealt out to files, which stand one after another."""
    order = [found[n]["doc_id"] for k in range(files) for n in range(k, len(found), files)]
    return {doc_id: position for position, doc_id in enumerate(order)}


def documents_of(bench: Bench, found: Rows, files: int = 1) -> Artifact:
    """Documents as a fetch task writes them."""
    return bench.table("documents", found, DOCUMENT_SCHEMA, files)


def refined_of(bench: Bench, found: Sequence[Mapping[str, Any]], files: int = 1) -> Artifact:
    """Documents as refine writes them."""
    positions = dealt(found, files)
    return bench.table(
        "documents", [{**row, "position": positions[row["doc_id"]]} for row in found], REFINED_SCHEMA, files
    )


def selection_of(bench: Bench, documents: Artifact, *doc_ids: str) -> Artifact:
    """A selection of clean documents by their ids."""
    chosen = [{"position": row["position"]} for row in rows(documents, "documents") if row["doc_id"] in doc_ids]
    return bench.table("selection", chosen, SELECTION_SCHEMA)


def selected(documents: Artifact, selection: Artifact) -> list[str]:
    """The ids of the documents of a selection, sorted."""
    names = {row["position"]: row["doc_id"] for row in rows(documents, "documents")}
    return sorted(names[row["position"]] for row in rows(selection, "selection"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty bench."""
    return Bench(tmp_path)


TEXT = "".join(f"def function_{n}(value, other):\n    return value + other * {n}\n\n" for n in range(60))


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A byte-level BPE of 300 ids, as the tokenizer task leaves it."""
    path = tmp_path_factory.mktemp("tokenizer")
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
    train_bpe(iter([TEXT]), 300, specials, path / "tokenizer")
    return Artifact(path=path)


@pytest.fixture(scope="session")
def encoder(tokenizer: Artifact) -> Encoder:
    """Its encoder."""
    return Encoder.load(tokenizer.path / "tokenizer" / TOKENIZER_FILE)
