"""Deduplication by chunk, alone and after other steps, through the real operators: documents in, clean ones out."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import attrs
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import ir
from compiler.emit.duckdb_sql import CHUNK_BITS
from compiler.errors import UserError
from compiler.rules.oc011_chunks import MOST_SOURCES
from ocspec import Deduplicate
from runtime.data.lsh import band_keys
from runtime.data.minhash import MinHasher
from runtime.data.operators import sign as sign_module
from runtime.data.operators.reading import POSITION_BITS
from runtime.data.operators.refine import refine
from runtime.data.operators.sign import sign
from runtime.data.operators.verdicts import cluster, edges, merge_signatures
from runtime.data.tables import digest_files
from runtime.task import Artifact
from tests.runtime.conftest import Workbench, tiny
from tests.runtime.data.operators.conftest import Bench, document, documents_of, rows, text
from tests.runtime.data.test_chunks import reference

READERS = (ir.Reader(source="s", format="documents"),)
NEAR = ir.MinHashKey(granularity="file", bands=8, rows=4, ngram=2)
WORDS = 20
Found = list[dict[str, Any]]


@attrs.frozen
class Run:
    """What a sequence of deduplication steps made of documents."""

    signed: Artifact
    verdicts: tuple[Artifact, ...]
    clean: Artifact

    @property
    def contents(self) -> dict[str, str]:
        """What is left, by document."""
        return {row["doc_id"]: row["content"] for row in rows(self.clean, "documents")}


def deduplicated(
    bench: Bench, found: Found, *steps: ir.MinHashKey | ir.Granularity, shards: int = 1, files: int = 1, **op: Any
) -> Run:
    """Sign, the steps one after another, refine; a step is a MinHash key, or a granularity for equal items only."""
    documents = {"fetched__s": [documents_of(bench, found, files)]}
    near = tuple(dict.fromkeys(step for step in steps if isinstance(step, ir.MinHashKey)))
    signing = ir.Sign(dataset="d", readers=READERS, near=near, **{"chunk_tokens": WORDS, **op})
    signed = bench.run(sign, signing, shards, **documents)
    verdicts = [signed]
    for step in steps:
        key = step if isinstance(step, ir.MinHashKey) else None
        granularity = key.granularity if key else step
        index = near.index(key) if key else None
        keys, more = signed, {}
        if granularity == "repository":
            merge = ir.MergeSignatures(key=key, index=index)
            keys = bench.run(merge_signatures, merge, keys=[signed], kept=[verdicts[-1]])
            more = {"repositories": [keys]}
        bands = ir.Edges(granularity=granularity, exact=True, key=index, bands=key.bands if key else 0)
        pairs = bench.run(edges, bands, shards, keys=[keys], kept=[verdicts[-1]])
        verdict = ir.Cluster(step=granularity, granularity=granularity)
        verdicts.append(bench.run(cluster, verdict, keys=[signed], kept=[verdicts[-1]], edges=[pairs], **more))
    clean = bench.run(refine, ir.Refine(dataset="d", readers=READERS), shards, kept=[verdicts[-1]], **documents)
    return Run(signed, tuple(verdicts[1:]), clean)


def by(granularity: ir.Granularity, **more: Any) -> ir.MinHashKey:
    """Near duplicates of that granularity."""
    return attrs.evolve(NEAR, granularity=granularity, **more)


def block(name: str, words: int = WORDS) -> str:
    """A text that is one chunk: lines of five words."""
    lines = (" ".join(f"{name}{n + k}" for k in range(5)) + "\n" for n in range(0, words, 5))
    return "".join(lines)


A, B, C, D, E = (block(name) for name in "abcde")


# ---------------------------------------------------------------- sign


def test_keys_of_chunks(bench: Bench) -> None:
    """Where each stands, its hash, the bands of its own words; none where it has no word."""
    found = [document("r/one.py", A + B), document("r/two.py", C), document("r/none.py", "--\n")]
    run = bench.run(
        sign,
        ir.Sign(dataset="d", readers=READERS, near=(NEAR, by("chunk")), chunk_tokens=WORDS),
        fetched__s=[documents_of(bench, found)],
    )
    chunks = rows(run, "chunks")
    expected = [(0, 0, 0, len(A)), (0, 1, len(A), len(A + B)), (1, 0, 0, len(C)), (2, 0, 0, 3)]
    assert [(row["position"], row["chunk"], row["start"], row["stop"]) for row in chunks] == expected
    contents = [A, B, C, "--\n"]
    assert [row["sha256"] for row in chunks] == [hashlib.sha256(content.encode()).digest() for content in contents]
    signatures, _ = MinHasher(32, 1, 2).signatures(pa.array(contents, pa.large_string()))
    columns = [f"near_1_{band}" for band in range(8)]
    assert [[row[name] for name in columns] for row in chunks] == [
        *band_keys(signatures, 8, 4)[:3].tolist(),
        [None] * 8,
    ]
    assert run.manifest["stats"]["chunks"] == 4
    assert [name for name in rows(run, "keys")[0] if name.startswith("near")] == [f"near_0_{band}" for band in range(8)]


def test_without_a_step_by_chunk_there_are_no_chunks(bench: Bench) -> None:
    """The table is there, and empty."""
    run = bench.run(
        sign, ir.Sign(dataset="d", readers=READERS), fetched__s=[documents_of(bench, [document("r/a.py", A)])]
    )
    assert rows(run, "chunks") == []
    assert "chunks" not in run.manifest["stats"]


def test_many_chunks_are_signed_a_few_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the same keys."""
    found = [document(f"r/{n}.py", "".join(block(f"{name}{n % 2}") for name in "abcdefg")) for n in range(4)]
    whole = deduplicated(bench, found, by("chunk")).signed
    monkeypatch.setattr(sign_module, "CHUNKS_AT_ONCE", 3)
    assert rows(deduplicated(bench, found, by("chunk")).signed, "chunks") == rows(whole, "chunks")


def test_more_chunks_than_can_be_numbered_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the document, the numbers and the way out."""
    monkeypatch.setattr(sign_module, "CHUNK_BITS", 2)
    found = [document("r/few.py", A), document("r/many.py", A + B + C + D + E)]
    with pytest.raises(UserError, match=r"r/many\.py has 5 chunks of at most 20 words; 4 are possible") as error:
        deduplicated(bench, found, "chunk")
    assert "chunk_tokens" in error.value.fix


def test_an_item_has_bits_for_source_document_and_chunk() -> None:
    """And a sign."""
    assert (MOST_SOURCES - 1).bit_length() + POSITION_BITS + CHUNK_BITS == 63


# ---------------------------------------------------------------- verdicts and what is written


def test_equal_chunks_of_several_documents_are_kept_once(bench: Bench) -> None:
    """In the document of most stars; what is left of the others is written end to end; one of which nothing is, not."""
    found = [
        document("r/all.py", A, stars=1),
        document("r/part.py", B + A + C, stars=2),
        document("r/twice.py", D + E + D),
        document("r/whole.py", block("w", 45), stars=9),
    ]
    run = deduplicated(bench, found, "chunk")
    assert run.contents == {
        "r/part.py": B + A + C,
        "r/twice.py": D + E,
        "r/whole.py": block("w", 45),
    }
    (verdict,) = run.verdicts
    assert text(verdict, "dropped") == (
        "r/all.py#0 | chunk | exact_duplicate | None | None | r/part.py#1\n"
        "r/twice.py#2 | chunk | exact_duplicate | None | None | r/twice.py#0\n"
    )
    assert verdict.manifest["stats"] == {
        "clusters": 2,
        "in": 10,
        "kept": 8,
        "languages": {"python": 3},
        "dropped": {"exact_duplicate": 2},
        "documents": {"in": 4, "kept": 3, "shortened": 1},
    }
    sizes = {row["doc_id"]: row["bytes"] for row in rows(run.clean, "documents")}
    assert sizes == {name: len(content) for name, content in run.contents.items()}


def test_similar_chunks_are_one_cluster(bench: Bench) -> None:
    """One word of twenty differs; the paper's survivor: stars, then the latest commit."""
    changed = A.replace("a7", "another")
    found = [document("r/old.py", B + A, commit_time=1), document("r/new.py", changed + C, commit_time=2)]
    run = deduplicated(bench, found, by("chunk", bands=32, rows=2))
    assert run.contents == {"r/old.py": B, "r/new.py": changed + C}
    assert text(run.verdicts[0], "dropped", "doc_id", "rule", "kept") == "r/old.py#1 | near_duplicate | r/new.py#0\n"


def test_a_held_out_chunk_wins_over_stars(bench: Bench) -> None:
    """What is measured on is not trained on."""
    found = [document("held/x.py", A), document("star/x.py", B + A, stars=99)]
    run = deduplicated(bench, found, "chunk", hold_out=("held",))
    assert run.contents == {"held/x.py": A, "star/x.py": B}


def test_characters_of_several_bytes_are_not_divided(bench: Bench) -> None:
    """Parts are bytes; what is left is text."""
    shared, own = block("ü"), block("日本")
    run = deduplicated(bench, [document("r/a.py", own + shared), document("q/b.py", shared)], "chunk")
    assert run.contents == {"q/b.py": shared, "r/a.py": own}


LINES = st.lists(st.sampled_from(["a b\n", "c\n", "a b c d e\n", "\n", "x"]), max_size=8).map("".join).filter(bool)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LINES, st.integers(0, 1), st.booleans()), min_size=1, max_size=6), st.sampled_from([1, 2, 7]))
def test_exact_chunks_are_those_of_a_plain_program(
    bench: Bench, given: list[tuple[str, int, bool]], shards: int
) -> None:
    """The first of equal chunks by held out, stars, id and number stays; documents are made of what stays."""
    found = [document(f"{'h' if held else 'r'}/{n}.py", text, stars=s) for n, (text, s, held) in enumerate(given)]
    run = deduplicated(bench, found, "chunk", shards=shards, files=2, chunk_tokens=3, hold_out=("h",))
    order = sorted(found, key=lambda row: (row["repo"] != "h", -row["stars"], row["doc_id"]))
    seen: set[bytes] = set()
    left: dict[str, bytes] = {}
    for row in order:
        for chunk in reference(row["content"].encode(), 3):
            if chunk not in seen:
                left[row["doc_id"]] = left.get(row["doc_id"], b"") + chunk
            seen.add(chunk)
    assert {name: content.encode() for name, content in run.contents.items()} == left
    stats = run.verdicts[0].manifest["stats"]
    assert stats["in"] == stats["kept"] + sum(stats["dropped"].values())
    assert stats["kept"] == len(seen)


# ---------------------------------------------------------------- compositions

FORK = B.replace("b7", "bee")
CORPUS = [
    document("one/a.py", A, stars=3),
    document("one/b.py", B + C, stars=3),
    document("fork/a.py", A),
    document("fork/b.py", B + C),
    document("two/b.py", FORK + C, stars=1),
    document("two/c.py", D + A, stars=1),
    document("two/e.py", E, stars=1),
]


def names(run: Run) -> set[str]:
    return set(run.contents)


def test_by_repository_then_by_file(bench: Bench) -> None:
    """The fork goes as a whole; then the file that is like another in what is left."""
    run = deduplicated(bench, CORPUS, by("repository"), by("file"))
    assert names(run) == {"one/a.py", "one/b.py", "two/c.py", "two/e.py"}
    assert [verdict.manifest["stats"]["kept"] for verdict in run.verdicts] == [5, 4]


def test_by_file_then_by_chunk(bench: Bench) -> None:
    """What two different files share goes in the second step."""
    run = deduplicated(bench, CORPUS, by("file"), by("chunk"))
    assert run.contents == {"one/a.py": A, "one/b.py": B + C, "two/c.py": D, "two/e.py": E}
    assert [verdict.manifest["stats"]["in"] for verdict in run.verdicts] == [7, 6]


def test_by_repository_then_by_chunk(bench: Bench) -> None:
    """Files of different repositories stay, less the chunks that they share."""
    run = deduplicated(bench, CORPUS, "repository", "chunk")
    assert run.contents == {"one/a.py": A, "one/b.py": B + C, "two/b.py": FORK, "two/c.py": D, "two/e.py": E}
    assert run.verdicts[1].manifest["stats"]["documents"] == {"in": 5, "kept": 5, "shortened": 2}


def test_by_file_twice_with_other_parameters(bench: Bench) -> None:
    """Equal files first, then similar ones among what is left."""
    run = deduplicated(bench, CORPUS, "file", by("file"))
    assert [verdict.manifest["stats"]["dropped"] for verdict in run.verdicts] == [
        {"exact_duplicate": 2},
        {"near_duplicate": 1},
    ]
    assert names(run) == {"one/a.py", "one/b.py", "two/c.py", "two/e.py"}


def test_what_a_step_dropped_does_not_drop_another(bench: Bench) -> None:
    """The fork's chunks are gone with it, and bear no witness against those of others."""
    found = [
        *CORPUS[:1],
        document("fork/a.py", A),
        document("fork/z.py", block("z")),
        document("late/z.py", block("z")),
    ]
    run = deduplicated(bench, found, "file", "chunk")
    assert names(run) == {"one/a.py", "fork/z.py"}


@pytest.mark.parametrize(
    "steps",
    [(by("chunk"),), (by("repository"), by("chunk", ngram=3))],
    ids=lambda steps: "_then_".join(step.granularity for step in steps),
)
def test_shards_do_not_matter(bench: Bench, steps: tuple[ir.MinHashKey, ...]) -> None:
    """The same rows in every output, for 1, 2 and 7 shards."""
    names = list(itertools.chain.from_iterable((f"{name}{n}" for name in "abc") for n in range(3)))
    found = [
        document(
            f"repo{n % 3}/{n}.py",
            "".join(block(names[k % 9]) for k in range(n % 5, 2 * n % 7 + n % 5 + 1)),
            stars=n % 2,
        )
        for n in range(24)
    ]
    digests = set()
    for shards in (1, 2, 7):
        run = deduplicated(bench, found, *steps, shards=shards, files=3)
        outputs = [(run.signed, "keys"), (run.signed, "chunks"), (run.clean, "documents")]
        outputs += [(verdict, output) for verdict in run.verdicts for output in ("kept", "dropped")]
        digests.add(tuple(digest_files(artifact.files(output)) for artifact, output in outputs))
        assert rows(run.verdicts[-1], "dropped")
    assert len(digests) == 1


def test_a_plan_by_file_and_by_chunk_runs(workbench: Workbench) -> None:
    """From a spec, in shards, with the worker's checks: the counts add up, and what is written is part of what was."""
    experiment = tiny(workbench.corpus)
    code, chosen = experiment.data
    steps = Deduplicate(near=None), Deduplicate(granularity="chunk", chunk_tokens=200, near=None)
    plan, path = workbench.compile(experiment.replace(data=(code.replace(steps=steps), chosen)), shards=2)
    assert workbench.run(plan, path, until="code/refine").errors == ()

    def built(task: str) -> Artifact:
        artifact = workbench.store.find(plan.task(task).fingerprint)
        assert artifact is not None
        return artifact

    stats = built("code/deduplicate#2/cluster").manifest["stats"]
    assert stats["in"] == stats["kept"] + sum(stats["dropped"].values())
    assert stats["documents"]["in"] == built("code/deduplicate/cluster").manifest["stats"]["kept"]
    assert stats["documents"]["shortened"] > 0
    assert built("code/sign").manifest["stats"]["chunks"] > stats["in"] > stats["documents"]["in"]
    for row in rows(built("code/refine"), "documents"):
        lines = (workbench.corpus / row["repo"] / row["path"]).read_text().splitlines()
        assert set(row["content"].splitlines()) <= set(lines)
