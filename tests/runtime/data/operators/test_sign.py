"""sign and merge_signatures: who is admitted, what keys are written, and that shards do not matter."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from compiler import ir
from runtime.data.lsh import band_keys
from runtime.data.minhash import MinHasher
from runtime.data.operators.sign import sign
from runtime.data.operators.verdicts import merge_signatures
from tests.runtime.data.operators.conftest import Bench, document, documents_of, rows, text

READERS = (ir.Reader(source="s", format="documents"),)
FILE = ir.MinHashKey(granularity="file", bands=4, rows=2, ngram=2)
WIDE = ir.MinHashKey(granularity="file", bands=2, rows=4, ngram=2)
REPOSITORY = ir.MinHashKey(granularity="repository", bands=4, rows=2, ngram=2)


def words(*numbers: int) -> str:
    """A text of numbered words."""
    return " ".join(f"word{number}" for number in numbers)


def signed(bench: Bench, found: list[dict[str, Any]], shards: int = 1, **op: Any) -> Any:
    """What sign makes of documents."""
    operator = ir.Sign(dataset="d", readers=READERS, **op)
    return bench.run(sign, operator, shards, **{"fetched__s": [documents_of(bench, found)]})


def test_keys_of_admitted_documents(bench: Bench) -> None:
    """Language by path or as the source says, in small letters; size in bytes; nothing of the content."""
    found = [
        document("a@1/x.py", "x = 1\n", stars=7, commit_time=99),
        document("a@2/y.txt", "ü\n", language="Rust"),
        document("b/z.unknown", "text"),
    ]
    artifact = signed(bench, found)
    names = ("doc_id", "repo", "language", "stars", "commit_time", "bytes", "held_out")
    assert text(artifact, "keys", *names) == (
        "a@1/x.py | a@1 | python | 7 | 99 | 6 | False\n"
        "a@2/y.txt | a@2 | rust | 0 | 0 | 3 | False\n"
        "b/z.unknown | b | None | 0 | 0 | 4 | False\n"
    )
    assert [row["sha256"] for row in rows(artifact, "keys")] == [
        hashlib.sha256(row["content"].encode()).digest() for row in found
    ]
    assert set(rows(artifact, "keys")[0]) == {*names, "sha256", "position"}
    assert [row["position"] for row in rows(artifact, "keys")] == [0, 1, 2]
    assert artifact.manifest["stats"] == {
        "in": 3,
        "kept": 3,
        "dropped": {},
        "languages": {"python": 1, "rust": 1, "(none)": 1},
        "seen": {"python": 1, "rust": 1, "(none)": 1},
        "bytes": {"python": 6, "rust": 3, "(none)": 4},
    }


def test_documents_not_admitted_are_dropped_with_their_reason(bench: Bench) -> None:
    """The first rule that fails, the size, and the limit where the size is at fault."""
    found = [
        document("r/empty.py", ""),
        document("r/large.py", "x" * 11),
        document("r/none.unknown", "x"),
        document("r/other.rs", "x"),
        document("r/data.json", "{}"),
        document("r/good.py", "x = 1"),
    ]
    admit = ir.AdmitRule(max_bytes=10, languages=("json", "python"), doc_types=("code",))
    artifact = signed(bench, found, admit=admit)
    assert text(artifact, "dropped") == (
        "r/data.json | admit | doc_type_not_admitted | 2.0 | None | None\n"
        "r/empty.py | admit | empty | 0.0 | None | None\n"
        "r/large.py | admit | too_large | 11.0 | 10.0 | None\n"
        "r/none.unknown | admit | unknown_language | 1.0 | None | None\n"
        "r/other.rs | admit | language_not_admitted | 1.0 | None | None\n"
    )
    assert text(artifact, "keys", "doc_id") == "r/good.py\n"
    stats = artifact.manifest["stats"]
    assert (stats["in"], stats["kept"], sum(stats["dropped"].values())) == (6, 1, 5)
    assert sum(stats["seen"].values()) == 6


def test_held_out_repositories_by_pattern(bench: Bench) -> None:
    """Patterns as in a shell, of the whole name, and capitals count."""
    repositories = ("net@1.0", "net@10", "netx@1.5", "Net@1.0", "other")
    found = [document(f"{repository}/x.py", "x") for repository in repositories]
    artifact = signed(bench, found, hold_out=("net@1.?", "oth*"))
    held = [row["repo"] for row in rows(artifact, "keys") if row["held_out"]]
    assert held == ["net@1.0", "other"]


def test_band_keys_are_those_of_the_signatures(bench: Bench) -> None:
    """Two keys of one family share their signatures; a document too short for a shingle has none."""
    contents = [words(1, 2, 3), words(1, 2, 4), "\n"]
    found = [document(f"r/{number}.py", content) for number, content in enumerate(contents)]
    artifact = signed(bench, found, near=(FILE, REPOSITORY, WIDE))
    signatures, _ = MinHasher(8, 1, 2).signatures(pa.array(contents, pa.large_string()))
    for name, key in (("near_0", FILE), ("near_2", WIDE)):
        expected = band_keys(signatures, key.bands, key.rows).tolist()
        columns = [f"{name}_{band}" for band in range(key.bands)]
        found = [[row[column] for column in columns] for row in rows(artifact, "keys")]
        assert found == [*expected[:2], [None] * key.bands]
    assert not any(column.startswith("near_1") for column in rows(artifact, "keys")[0])


def test_copies_have_the_keys_of_their_text(bench: Bench) -> None:
    """Within a batch and over batches, beside a repository key and without one; they are signed once."""
    found = [document(f"r{n}/{n}.py", words(*range(n % 3, n % 3 + 5))) for n in range(9)]
    together = signed(bench, found, near=(FILE,))
    beside = signed(bench, found, near=(FILE, REPOSITORY))
    for n, row in enumerate(found):
        alone = rows(signed(bench, [row], near=(FILE,)), "keys")[0]
        for whole in (together, beside):
            assert {**rows(whole, "keys")[n], "position": 0} == alone


def test_positions_of_several_sources_stand_one_after_another(bench: Bench) -> None:
    """A reader's number is the upper part, and shards follow the order of positions."""
    one, two = ([document(f"{s}/{n}.py", f"x = {n}\n") for n in range(4)] for s in "ab")
    readers = tuple(ir.Reader(source=source, format="documents") for source in "ab")
    operator = ir.Sign(dataset="d", readers=readers)
    inputs = {"fetched__a": [documents_of(bench, one)], "fetched__b": [documents_of(bench, two)]}
    for shards in (1, 3):
        keys = rows(bench.run(sign, operator, shards, **inputs), "keys")
        assert [row["position"] for row in keys] == [0, 1, 2, 3, *(2**42 + n for n in range(4))]
        assert [row["doc_id"] for row in keys] == [row["doc_id"] for row in one + two]


def test_the_content_decides_where_the_name_does_not(bench: Bench) -> None:
    """Extensions of several languages, interpreters; a source's own name of a language in the project's words."""
    found = [
        document("r/a.h", "@interface A\n@end\n"),
        document("r/b.h", "int b;\n"),
        document("r/run", "#!/usr/bin/env python3\n"),
        document("r/c.h", "class C {};\n", language="C++"),
        document("r/d.py", "#!/bin/sh\n"),
    ]
    assert text(signed(bench, found), "keys", "doc_id", "language") == (
        "r/a.h | objective-c\nr/b.h | c\nr/c.h | cpp\nr/d.py | python\nr/run | python\n"
    )


@pytest.mark.parametrize("shards", [1, 3])
def test_shards_do_not_change_the_keys(bench: Bench, shards: int) -> None:
    """At file and at repository granularity: the same rows, after merging."""
    found = [document(f"repo{n % 4}/{n}.py", words(*range(n, n + 6)), stars=n, commit_time=n) for n in range(20)]
    artifact = signed(bench, found, shards, near=(FILE, REPOSITORY), hold_out=("repo3",))
    kept = bench.table("kept", [{"position": n} for n in range(20)])
    merge = ir.MergeSignatures(key=REPOSITORY, index=1)
    merged = bench.run(merge_signatures, merge, keys=[artifact], kept=[kept])
    whole = signed(bench, found, 1, near=(FILE, REPOSITORY), hold_out=("repo3",))
    assert len(artifact.files("keys")) == shards
    assert text(artifact, "keys") == text(whole, "keys")
    assert text(merged, "keys") == text(bench.run(merge_signatures, merge, keys=[whole], kept=[kept]), "keys")
    assert [row["repo"] for row in rows(merged, "keys")] == ["repo0", "repo1", "repo2", "repo3"]


def test_a_repository_is_the_union_of_its_files(bench: Bench) -> None:
    """Its near key is that of the minima over its files; its hash is over the sorted hashes of those kept."""
    contents = [words(1, 2, 3), words(4, 5, 6), words(7, 8, 9)]
    found = [document(f"r/{n}.py", content) for n, content in enumerate(contents)]
    artifact = signed(bench, found, near=(REPOSITORY,))
    kept = bench.table("kept", [{"position": 0}, {"position": 2}])
    merged = bench.run(merge_signatures, ir.MergeSignatures(key=REPOSITORY, index=0), keys=[artifact], kept=[kept])
    (row,) = rows(merged, "keys")
    signatures, _ = MinHasher(8, 1, 2).signatures(pa.array(contents, pa.large_string()))
    merged_bands = band_keys(signatures.min(axis=0, keepdims=True), 4, 2)[0].tolist()
    assert [row[f"near_0_{band}"] for band in range(4)] == merged_bands
    assert row["item"] == 0
    hashes = sorted(hashlib.sha256(contents[n].encode()).hexdigest().upper() for n in (0, 2))
    assert row["sha256"] == hashlib.sha256("".join(hashes).encode()).digest()
    exact = bench.run(merge_signatures, ir.MergeSignatures(key=None, index=None), keys=[artifact], kept=[kept])
    assert [set(row) for row in rows(exact, "keys")] == [{"item", "repo", "sha256"}]
