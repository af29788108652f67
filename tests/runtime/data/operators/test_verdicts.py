"""Edges, clusters and twins of held-out documents, on keys written by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from compiler import ir
from compiler.errors import UserError
from runtime.data.operators.verdicts import cluster, drop_twins, edges
from runtime.task import Artifact
from tests.runtime.data.operators.conftest import Bench, name_at, position_of, rows, text

KEYS = pa.schema(
    {
        "position": pa.int64(),
        "doc_id": pa.string(),
        "repo": pa.string(),
        "language": pa.string(),
        "stars": pa.int64(),
        "commit_time": pa.int64(),
        "bytes": pa.int64(),
        "held_out": pa.bool_(),
        "sha256": pa.binary(),
        "near_0_0": pa.uint64(),
        "near_0_1": pa.uint64(),
    }
)
REPOSITORIES = pa.schema(
    {"item": pa.int64(), "repo": pa.string(), "sha256": pa.binary(), "near_0_0": pa.uint64(), "near_0_1": pa.uint64()}
)


def key(doc_id: str, digest: str, near: list[int] | None = None, **more: Any) -> dict[str, Any]:
    """A key row; the id is REPO/PATH, of at most 7 letters, and the position the one that stands for it."""
    row = {
        "position": position_of(doc_id),
        "doc_id": doc_id,
        "repo": doc_id.partition("/")[0],
        "language": "python",
        "stars": 0,
        "commit_time": 0,
    }
    bands = dict(zip(("near_0_0", "near_0_1"), near or (None, None), strict=True))
    return {**row, "bytes": 1, "held_out": False, "sha256": digest.encode(), **bands, **more}


def named(artifact: Artifact, output: str, *columns: str) -> str:
    """The rows of one output as text, with names in place of positions and items."""
    found = [
        " | ".join(name_at(row[c]) if c in ("position", "first", "second") else str(row[c]) for c in columns)
        for row in rows(artifact, output)
    ]
    return "".join(f"{line}\n" for line in sorted(found))


EDGE = ("first", "second", "band")
KEPT = ("position", "language", "held_out")


def keys_of(bench: Bench, *found: dict[str, Any]) -> Artifact:
    """An artefact of sign, in two files."""
    return bench.table("keys", found, KEYS, files=2)


def deduplicated(bench: Bench, keys: Artifact, kept: Artifact | None = None, shards: int = 1) -> Artifact:
    """Edges, then clusters, of files by hash and by two bands."""
    left = [kept or keys]
    op = ir.Edges(granularity="file", exact=True, key=0, bands=2)
    found = bench.run(edges, op, shards, keys=[keys], kept=left)
    verdict = ir.Cluster(step="deduplicate", granularity="file", threshold=0.5)
    return bench.run(cluster, verdict, keys=[keys], kept=left, edges=[found])


def test_edges_go_from_the_least_item_of_a_bucket(bench: Bench) -> None:
    """Band 0 is the hash; twins by hash appear once in the bands; no text, no band."""
    keys = keys_of(
        bench,
        key("r/a", "1", [10, 20]),
        key("r/b", "1", [10, 20]),
        key("r/c", "2", [10, 21]),
        key("r/d", "3", [11, 21]),
        key("r/e", "4", None),
        key("r/f", "5", [20, 10]),
    )
    op = ir.Edges(granularity="file", exact=True, key=0, bands=2)
    whole = bench.run(edges, op, keys=[keys], kept=[keys])
    assert named(whole, "edges", *EDGE) == "r/a | r/b | 0\nr/a | r/c | 1\nr/c | r/d | 2\n"
    for shards in (2, 3, 7):
        assert text(bench.run(edges, op, shards, keys=[keys], kept=[keys]), "edges") == text(whole, "edges")
    assert whole.manifest["stats"] == {"edges": 3}


def test_only_kept_items_have_edges(bench: Bench) -> None:
    """A document that a step before dropped does not hold a cluster together."""
    keys = keys_of(bench, key("r/a", "1", [1, 9]), key("r/b", "2", [1, 2]), key("r/c", "3", [8, 2]))
    kept = bench.table("kept", [{"position": position_of("r/a")}, {"position": position_of("r/c")}])
    op = ir.Edges(granularity="file", exact=True, key=0, bands=2)
    assert text(bench.run(edges, op, keys=[keys], kept=[kept]), "edges") == ""


@pytest.mark.parametrize(
    ("a", "b", "survivor"),
    [
        ({"stars": 1}, {"stars": 2}, "r/b"),
        ({"stars": 2, "commit_time": 5}, {"stars": 2, "commit_time": 6}, "r/b"),
        ({"stars": 3, "commit_time": 5}, {"stars": 2, "commit_time": 6}, "r/a"),
        ({}, {}, "r/a"),
    ],
)
def test_the_survivor_has_most_stars_then_the_latest_commit_then_the_lowest_id(
    bench: Bench, a: dict[str, int], b: dict[str, int], survivor: str
) -> None:
    """Whatever the order of the rows and the number of shards."""
    found = [key("r/a", "1", **a), key("r/b", "1", **b)]
    loser = "r/b" if survivor == "r/a" else "r/a"
    for order, shards in ((found, 1), (found[::-1], 3)):
        artifact = deduplicated(bench, keys_of(bench, *order), shards=shards)
        assert named(artifact, "kept", *KEPT) == f"{survivor} | python | False\n"
        assert text(artifact, "dropped") == f"{loser} | deduplicate | exact_duplicate | None | 0.5 | {survivor}\n"


def test_clusters_are_connected_components(bench: Bench) -> None:
    """a ~ b ~ c makes one cluster; equal to the survivor is exact, else near; in = kept + dropped."""
    keys = keys_of(
        bench,
        key("r/a", "1", [10, 20]),
        key("r/b", "2", [10, 21], stars=5),
        key("r/c", "3", [11, 21]),
        key("r/d", "2", [10, 21]),
        key("r/e", "5", [12, 22], held_out=True, language=None),
    )
    artifact = deduplicated(bench, keys)
    assert named(artifact, "kept", *KEPT) == "r/b | python | False\nr/e | None | True\n"
    assert text(artifact, "dropped", "doc_id", "rule", "kept") == (
        "r/a | near_duplicate | r/b\nr/c | near_duplicate | r/b\nr/d | exact_duplicate | r/b\n"
    )
    assert artifact.manifest["stats"] == {
        "in": 5,
        "kept": 2,
        "languages": {"(none)": 1, "python": 1},
        "dropped": {"exact_duplicate": 1, "near_duplicate": 2},
        "clusters": 1,
    }


def test_a_repositorys_verdict_applies_to_all_its_files(bench: Bench) -> None:
    """The most starred of two similar repositories stays; a repository without a twin is untouched."""
    keys = keys_of(
        bench,
        key("fork/a", "1", stars=1),
        key("fork/b", "9", stars=8),
        key("orig/a", "1", stars=9),
        key("orig/b", "2", stars=2),
        key("solo/a", "1"),
    )
    near = {"fork": [1, 2], "orig": [1, 3], "solo": [4, 4]}
    found = [
        {"item": position_of(f"{repo}/a"), "repo": repo, "sha256": repo.encode(), "near_0_0": one, "near_0_1": other}
        for repo, (one, other) in near.items()
    ]
    repositories = bench.table("keys", found, REPOSITORIES)
    op = ir.Edges(granularity="repository", exact=True, key=0, bands=2)
    joined = bench.run(edges, op, keys=[repositories], kept=[keys])
    assert named(joined, "edges", *EDGE) == "fork/a | orig/a | 1\n"
    verdict = ir.Cluster(step="deduplicate", granularity="repository", threshold=0.5)
    inputs = {"keys": [keys], "kept": [keys], "edges": [joined], "repositories": [repositories]}
    artifact = bench.run(cluster, verdict, **inputs)
    assert named(artifact, "kept", "position") == "orig/a\norig/b\nsolo/a\n"
    assert text(artifact, "dropped", "doc_id", "rule", "kept") == (
        "fork/a | near_duplicate | orig\nfork/b | near_duplicate | orig\n"
    )


def test_twins_of_held_out_documents_are_dropped(bench: Bench) -> None:
    """By hash or by a band; the held-out ones stay, and so do documents that are twins among themselves."""
    keys = keys_of(
        bench,
        key("held/x", "1", [10, 20], held_out=True),
        key("held/y", "2", [11, 21], held_out=True),
        key("r/exact", "1", [10, 20]),
        key("r/near", "3", [99, 21]),
        key("r/one", "4", [30, 40]),
        key("r/two", "4", [30, 40]),
        key("r/short", "5", None),
    )
    artifact = bench.run(drop_twins, ir.DropTwins(step="hold-out", key=0, bands=2, threshold=0.9), keys=[keys])
    assert named(artifact, "kept", "position", "held_out") == (
        "held/x | True\nheld/y | True\nr/one | False\nr/short | False\nr/two | False\n"
    )
    assert text(artifact, "dropped") == (
        "r/exact | hold-out | held_out_exact | None | 0.9 | held/x\n"
        "r/near | hold-out | held_out_near | None | 0.9 | held/y\n"
    )
    assert artifact.manifest["stats"] == {
        "in": 7,
        "kept": 5,
        "dropped": {"held_out_exact": 1, "held_out_near": 1},
        "languages": {"python": 5},
    }


def test_ids_that_occur_twice_are_named(bench: Bench) -> None:
    """Edges and hold-out, whichever comes first, refuse them with their numbers."""
    found = [key(f"r/{name}", str(n)) for n, name in enumerate("aabbbcdd")]
    keys = keys_of(bench, *found)
    said = "document ids are not unique: 'r/a' 2 times, 'r/b' 3 times, 'r/d' 2 times"
    with pytest.raises(UserError, match=said):
        bench.run(drop_twins, ir.DropTwins(step="hold-out", key=0, bands=2), keys=[keys])
    with pytest.raises(UserError, match=said):
        deduplicated(bench, keys)


def test_twins_of_what_another_data_set_holds_out_are_dropped(bench: Bench) -> None:
    """Its keys may have other columns beside the common one; its documents are not kept here."""
    keys = keys_of(bench, key("r/exact", "1", [10, 20]), key("r/near", "2", [30, 99]), key("r/own", "3", [5, 6]))
    other = KEYS.append(pa.field("near_1_0", pa.uint64()))
    elsewhere = [key("held/x", "1", [7, 8], held_out=True, near_1_0=1), key("held/y", "9", [30, 40], held_out=True)]
    held = bench.table("keys", [*elsewhere, key("other/z", "3", [5, 6])], other)
    artifact = bench.run(drop_twins, ir.DropTwins(step="hold-out", key=0, bands=2), keys=[keys], held=[held])
    assert named(artifact, "kept", "position") == "r/own\n"
    assert text(artifact, "dropped", "doc_id", "rule", "kept") == (
        "r/exact | held_out_exact | held/x\nr/near | held_out_near | held/y\n"
    )
    assert artifact.manifest["stats"] == {
        "in": 3,
        "kept": 1,
        "dropped": {"held_out_exact": 1, "held_out_near": 1},
        "languages": {"python": 1},
    }


def test_a_held_out_document_survives_its_cluster(bench: Bench) -> None:
    """Stars of a copy do not take its place."""
    keys = keys_of(bench, key("r/a", "1", stars=9), key("r/b", "1", held_out=True))
    artifact = deduplicated(bench, keys)
    assert named(artifact, "kept", *KEPT) == "r/b | python | True\n"
    assert text(artifact, "dropped", "doc_id", "kept") == "r/a | r/b\n"
