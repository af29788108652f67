"""The whole of the data steps gives the same rows for any number of shards and threads, on real code."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from compiler import ir
from compiler.quality_rules import DEFAULT_RULES
from runtime.data.operators.refine import refine
from runtime.data.operators.selections import downsample
from runtime.data.operators.sign import sign
from runtime.data.operators.verdicts import cluster, drop_twins, edges, merge_signatures
from runtime.data.tables import digest_files
from runtime.task import Artifact, TaskContext
from tests.runtime.data.operators.conftest import Bench, Run, document

STEPS: tuple[ir.Granularity, ...] = ("repository", "file", "chunk")
NEAR = tuple(ir.MinHashKey(granularity=granularity, bands=8, rows=4) for granularity in STEPS)
READER = ir.Reader(source="s", format="jsonl", columns=ir.Columns(doc_id="doc_id", stars="stars"))


class Threaded(Bench):
    """A bench whose tasks have so many threads."""

    def __init__(self, root: Path, threads: int) -> None:
        super().__init__(root)
        self.threads = threads

    def context(self, op: ir.Operator, *args: Any, **inputs: Any) -> TaskContext:
        return attrs.evolve(super().context(op, *args, **inputs), threads=self.threads)


def code() -> Iterator[dict[str, Any]]:
    """Modules of the standard library, with copies and near copies; one repository is a mirror of another."""
    chosen = random.Random(7)
    for number, path in enumerate(sorted(Path(json.__file__).parents[1].glob("[a-d]*.py"))):
        text = path.read_text(encoding="utf-8")
        yield document(f"lib{number % 5}/{path.name}", text, stars=number % 3)
        if number % 5 == 0:
            yield document(f"mirror/{path.name}", text)
        if number % 3 == 0:
            yield document(f"copy/{path.name}", text, stars=chosen.randrange(9))
        if number % 4 == 0:
            yield document(f"fork{number % 8 // 4}/{path.name}", text.replace("self", "this", 3) + "\n# the end\n")


def cleaned(bench: Bench, documents: Path, shards: int) -> dict[str, Any]:
    """The digest of every table of every step, less the partial signatures of shards, which `merge` puts together."""
    made: dict[str, Artifact] = {}

    def step(name: str, run: Run, op: ir.Operator, number: int = shards, **inputs: str) -> None:
        made[name] = bench.run(run, op, number, **{role: [made[source]] for role, source in inputs.items()})

    reader = attrs.evolve(READER, location=str(documents))
    hold_out = ("fork1",)
    step("sign", sign, ir.Sign(dataset="d", readers=(reader,), near=NEAR, hold_out=hold_out, chunk_tokens=200))
    step("twins", drop_twins, ir.DropTwins(step="hold-out", key=1, bands=8), 1, keys="sign")
    kept, bands = "twins", {"exact": True, "bands": 8}
    merge = ir.MergeSignatures(key=NEAR[0], index=0)
    step("merge", merge_signatures, merge, 1, keys="sign", kept=kept)
    for number, granularity in enumerate(STEPS):
        source = "merge" if granularity == "repository" else "sign"
        more = {"repositories": "merge"} if granularity == "repository" else {}
        op = ir.Edges(granularity=granularity, key=number, **bands)  # type: ignore[arg-type]
        step(f"edges-{granularity}", edges, op, keys=source, kept=kept)
        verdict = ir.Cluster(step="d", granularity=granularity)
        step(granularity, cluster, verdict, 1, keys="sign", kept=kept, edges=f"edges-{granularity}", **more)
        kept = granularity
    op = ir.Refine(dataset="d", readers=(reader,), redact_copyright=True, redact_pii=True, rules=DEFAULT_RULES)
    step("refine", refine, op, kept=kept)
    step("caps", downsample, ir.Downsample(step="caps", caps=(("python", 300_000),)), 1, documents="refine")
    return {
        f"{name}/{output.name}": digest_files(sorted(output.glob("*.parquet")))
        for name, artifact in made.items()
        for output in sorted(artifact.path.iterdir())
        if output.name != "signatures"
    }


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents as JSON Lines, which a shard may cut anywhere."""
    path = tmp_path_factory.mktemp("code") / "documents.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in code()))
    return path


@pytest.fixture(scope="module")
def whole(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one shard on one thread makes of them; every step has something to do."""
    found = cleaned(Threaded(tmp_path_factory.mktemp("whole"), 1), documents, 1)
    assert [name for name, digest in found.items() if not digest.rows] == ["sign/dropped"]
    return found


@pytest.mark.parametrize(("shards", "threads"), [(1, 2), (7, 1), pytest.param(64, 2, marks=pytest.mark.slow), (3, 2)])
def test_no_table_depends_on_shards_or_threads(
    documents: Path, whole: dict[str, Any], tmp_path: Path, shards: int, threads: int
) -> None:
    """From the first reading to the last selection, by repository, file and chunk."""
    assert cleaned(Threaded(tmp_path, threads), documents, shards) == whole
