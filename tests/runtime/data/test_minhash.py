"""The MinHash kernel against a plain Python twin of its definitions, and against datasketch on real code."""

from __future__ import annotations

import re
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from runtime.data.minhash import MinHasher, compiled, merge_signatures

# A quarter of the bytes are separators, so that tokens, short documents and repeated n-grams all turn up.
ODD_BYTES = st.lists(st.sampled_from([b"a", b"b", b"_", b"\xff", b"\x00", b" ", b"ab", b"\n"])).map(b"".join)
BYTES = st.one_of(ODD_BYTES, st.binary(max_size=200), st.text(max_size=100).map(str.encode))


CHARACTER = rb"\A[\x80-\xbf]+|[\x00-\x7f\xc0-\xff][\x80-\xbf]*"
UNITS = {"word": rb"[A-Za-z0-9_\x80-\xff]+", "character": CHARACTER}


def reference_shingles(text: bytes, ngram: int, unit: str = "word") -> set[int]:
    """The definitions of the module's docstring, word for word, at Python's speed."""

    def token_hash(token: bytes) -> int:
        value = 0
        for byte in token:
            value = (value ^ byte) * 0x9E3779B97F4A7C15 % 2**64
        return value

    def shingle_hash(tokens: list[int]) -> int:
        value = 0
        for token in tokens:
            value = (value * 0xD1342543DE82EF95 + token) % 2**64
        value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD % 2**64
        value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 % 2**64
        return (value ^ value >> 33) >> 32

    tokens = [token_hash(token) for token in re.findall(UNITS[unit], text)]
    last = max(len(tokens) - ngram, 0)
    return {shingle_hash(tokens[i : i + ngram]) for i in range(last + 1)} if tokens else set()


def datasketch_signature(shingles: set[int] | np.ndarray, num_perm: int, seed: int = 1) -> np.ndarray:
    sketch = MinHash(num_perm=num_perm, seed=seed, scheme="affine32", hashfunc=int)
    sketch.update_batch(shingles)
    return sketch.hashvalues


@cache
def source_files(count: int) -> list[bytes]:
    """Files of the standard library: real code of up to 60 kB each."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")) + sorted(
        Path(sysconfig.get_paths()["stdlib"]).glob("[a-z]*/*.py")
    )
    texts = (path.read_bytes() for path in paths if 0 < path.stat().st_size < 60_000)
    return [text for _, text in zip(range(count), texts, strict=False)]


@settings(max_examples=200, deadline=None)
@given(BYTES, st.integers(1, 6), st.sampled_from(sorted(UNITS)))
def test_shingles_equal_the_plain_python_definition(text, ngram, unit):
    """The compiled tokeniser and rolling hash are the documented ones on any bytes."""
    hashes = MinHasher(num_perm=1, ngram=ngram, unit=unit).shingle_hashes(text)
    assert hashes.dtype == np.uint32
    assert hashes.tolist() == sorted(reference_shingles(text, ngram, unit))


def test_characters_are_those_of_the_text():
    """For text, n-grams of characters are those that Python would slice."""
    text = "naïve 日本 𝄞\n"
    slices = {text[i : i + 3].encode() for i in range(len(text) - 2)}
    expected = {hashed for part in slices for hashed in reference_shingles(part, 3, "character")}
    assert MinHasher(1, ngram=3, unit="character").shingle_hashes(text).tolist() == sorted(expected)
    assert len(expected) == len(text) - 2


@settings(max_examples=100, deadline=None)
@given(
    st.lists(BYTES, max_size=5),
    st.integers(1, 6),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from(sorted(UNITS)),
)
def test_signatures_equal_datasketch_on_any_bytes(texts, ngram, num_perm, seed, unit):
    """For any width, seed, n-gram and unit the signature is datasketch's over the documented shingles."""
    hasher = MinHasher(num_perm, seed=seed, ngram=ngram, unit=unit)
    signatures, counts = hasher.signatures(pa.array(texts, pa.binary()))
    assert signatures.shape == (len(texts), num_perm)
    for text, signature, count in zip(texts, signatures, counts, strict=True):
        shingles = reference_shingles(text, ngram, unit)
        assert (count > 0) == bool(shingles)
        assert count >= len(shingles)
        np.testing.assert_array_equal(signature, datasketch_signature(shingles, num_perm, seed))


@pytest.mark.parametrize(
    ("num_perm", "num_files", "unit"), [(126, 200, "word"), (2048, 200, "word"), (126, 50, "character")]
)
def test_signatures_equal_datasketch_on_source_code(num_perm, num_files, unit):
    """At the widths of the experiments every bit agrees on real files, and on texts that fill blocks to the byte."""
    texts = source_files(num_files)
    assert len(texts) == num_files
    texts = [*texts, *(b"".join(texts)[:size] for size in (4095, 4096, 4097, 8192))]
    hasher = MinHasher(num_perm, unit=unit)
    signatures, _ = hasher.signatures(pa.array(texts, pa.large_binary()))
    for text, signature in zip(texts, signatures, strict=True):
        np.testing.assert_array_equal(signature, datasketch_signature(hasher.shingle_hashes(text), num_perm))


def test_shingles_equal_the_definition_on_source_code():
    """Real files span many internal blocks, which Hypothesis's short texts do not."""
    for unit, step in (("word", 20), ("character", 100)):
        hasher = MinHasher(num_perm=1, unit=unit)
        for text in source_files(200)[::step]:
            assert hasher.shingle_hashes(text).tolist() == sorted(reference_shingles(text, 5, unit))


@pytest.mark.parametrize(
    "text",
    [
        b"x" * 10_000,
        b"x" * 4096 + b" y",
        b"x" * 4095 + b" " + b"y" * 4096 + b" z",
        b" " * 4096 + b"a b c d e f",
        b"a b c d " + b" " * 9000 + b"e f g",
        b"a " * 5000,
        b" a" * 2048 + b" ",
        bytes(range(256)) * 40,
    ],
)
@pytest.mark.parametrize("ngram", [1, 5, 5000])
def test_blocks_do_not_show(text, ngram):
    """Tokens, n-grams and short documents that cross the kernel's blocks sign as the definition says."""
    signatures, _ = MinHasher(16, ngram=ngram).signatures(pa.array([text]))
    np.testing.assert_array_equal(signatures[0], datasketch_signature(reference_shingles(text, ngram), 16))


def test_counts_are_of_ngrams_with_repeats():
    """The count is tokens - n + 1, 1 for a shorter text, 0 for one without tokens."""
    texts = ["a b c d e f g", "a a a a a a", "a b c d e", "a b", "", "+-*/ \t", None]
    assert MinHasher(8).signatures(pa.array(texts))[1].tolist() == [3, 2, 1, 1, 0, 0, 0]


def test_a_text_without_tokens_has_the_neutral_signature():
    """It is all ones, as datasketch's empty sketch is."""
    signatures, _ = MinHasher(8).signatures(pa.array([None, "", "; {} ;"]))
    np.testing.assert_array_equal(signatures, np.full((3, 8), MinHash(8).hashvalues))


def test_a_short_text_is_not_its_own_prefix():
    """Four tokens make one shingle of four, unlike any shingle of the longer text that they start."""
    hasher = MinHasher(1)
    assert len(hasher.shingle_hashes("a b c d")) == 1
    assert not np.isin(hasher.shingle_hashes("a b c d"), hasher.shingle_hashes("a b c d e f")).any()


def test_case_and_non_ascii_letters_count_and_separators_do_not():
    """Words differ by case; non-ASCII characters are parts of words; any separator is as good as another."""
    hasher = MinHasher(1, ngram=2)
    assert not np.array_equal(hasher.shingle_hashes("def F"), hasher.shingle_hashes("def f"))
    assert len(hasher.shingle_hashes("é—à b")) == 1
    assert np.array_equal(hasher.shingle_hashes("x=1;\0y"), hasher.shingle_hashes("\tx\r\n( 1 ) [y]"))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_arrow_types_slices_and_nulls(kind):
    """Any text type, any slice and any null give the signatures that each text has alone."""
    texts = ["def f(x): return x", None, "", "a b c d e f", "naïve x\0y z", None, "for i in range(10): pass"]
    hasher = MinHasher(20)
    alone = np.concatenate([hasher.signatures(pa.array([text], kind))[0] for text in texts])
    array = pa.array(texts, kind)
    for start in range(len(texts) + 1):
        for length in range(len(texts) + 1 - start):
            signatures, counts = hasher.signatures(array.slice(start, length))
            np.testing.assert_array_equal(signatures, alone[start : start + length])
            assert counts.dtype == np.int32
            assert len(counts) == length


def test_a_null_that_hides_bytes_is_empty():
    """Arrow lets a null's slot cover bytes; they are not the document's."""
    array = pa.array(["a b c d e f", "g h i j k l"])
    masked = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x02"), *array.buffers()[1:]])
    assert masked.to_pylist() == [None, "g h i j k l"]
    signatures, counts = MinHasher(4).signatures(masked)
    assert counts.tolist() == [0, 2]
    np.testing.assert_array_equal(signatures[1:], MinHasher(4).signatures(array)[0][1:])


@pytest.mark.parametrize("array", [pa.array([], pa.string()), pa.nulls(3, pa.string()), pa.array([""])])
def test_arrays_without_bytes(array):
    """Arrow may leave out the buffers of such arrays."""
    signatures, counts = MinHasher(4).signatures(array)
    assert signatures.shape == (len(array), 4)
    assert not counts.any()


def test_batches_and_threads_do_not_matter():
    """Signing file by file in four threads gives what one call gives, call after call."""
    texts = source_files(200)
    hasher = MinHasher(64)
    together = hasher.signatures(pa.array(texts))[0]
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda text: hasher.signatures(pa.array([text]))[0][0], texts))
    np.testing.assert_array_equal(together, np.stack(alone))


def test_the_kernel_releases_the_gil():
    """Another thread runs while texts are signed, though the interpreter would never switch by itself.

    Not necessarily the first time: a busy machine may let it come too late for that.
    """
    hasher = MinHasher(2048)
    hasher.signatures(pa.array(["compile first"]))
    texts = pa.array(source_files(20))
    started, seen = threading.Event(), threading.Event()
    rounds = []

    def work():
        started.set()
        while not seen.is_set() and len(rounds) < 50:
            hasher.signatures(texts)
            rounds.append(seen.is_set())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        seen.set()
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert rounds[-1], "50 times without another thread"


def test_a_golden_signature():
    """Stored band keys live as long as these numbers do: a change of them is a new op_version."""
    signatures, counts = MinHasher(6).signatures(pa.array(["def add(a, b):\n    return a + b  # the sum\n", "naïve"]))
    assert counts.tolist() == [5, 1]
    assert signatures.tolist() == [
        [1265851732, 208888575, 1322067713, 776713826, 40509673, 278432034],
        [366693237, 89962775, 3266212573, 593013342, 863107282, 1790599579],
    ]


def test_the_hash_collides_no_more_than_chance():
    """Distinct n-grams of real code lose no more to 32 bits than random numbers would."""
    hasher = MinHasher(1)
    grams: set[tuple[bytes, ...]] = set()
    for text in source_files(200):
        tokens = re.findall(rb"[A-Za-z0-9_\x80-\xff]+", text)
        grams.update(tuple(tokens[i : i + 5]) for i in range(max(len(tokens) - 4, 0)))
    hashes = np.unique([hasher.shingle_hashes(b" ".join(gram))[0] for gram in grams])
    chance = len(grams) ** 2 / 2**33
    assert len(grams) > 200_000
    assert abs(len(grams) - len(hashes) - chance) < 5 * chance**0.5


def test_equal_elements_estimate_the_jaccard_similarity():
    """The share of equal elements lies within four standard errors of the exact similarity."""
    words = [f"w{i}" for i in range(1500)]
    hasher = MinHasher(2048, ngram=1)
    for shared in (0, 300, 900, 1000):
        pair = pa.array([" ".join(words[:1000]), " ".join(words[1000 - shared : 2000 - shared])])
        left, right = (set(text.split()) for text in pair.to_pylist())
        jaccard = len(left & right) / len(left | right)
        first, second = hasher.signatures(pair)[0]
        assert abs((first == second).mean() - jaccard) <= 4 * (jaccard * (1 - jaccard) / 2048) ** 0.5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(BYTES, st.integers(-3, 3)), max_size=8))
def test_the_minimum_signs_the_union(documents):
    """A group's merged signature is that of the union of its documents' shingles."""
    hasher = MinHasher(16, ngram=2)
    texts = pa.array([text for text, _ in documents], pa.binary())
    groups, merged = merge_signatures(
        hasher.signatures(texts)[0], np.array([group for _, group in documents], dtype=np.int64)
    )
    assert groups.tolist() == sorted({group for _, group in documents})
    for group, signature in zip(groups, merged, strict=True):
        union = set().union(*(reference_shingles(text, 2) for text, of in documents if of == group))
        np.testing.assert_array_equal(signature, datasketch_signature(union, 16))


def test_merging_merged_parts_is_merging_all():
    """A repository split over shards ends with the signature that one shard would give it."""
    signatures, _ = MinHasher(32).signatures(pa.array(source_files(200)[:40]))
    repositories = np.arange(40) % 7
    parts = [merge_signatures(signatures[half], repositories[half]) for half in (slice(0, 13), slice(13, 40))]
    groups, merged = merge_signatures(
        np.concatenate([part[1] for part in parts]), np.concatenate([part[0] for part in parts])
    )
    expected_groups, expected = merge_signatures(signatures, repositories)
    np.testing.assert_array_equal(groups, expected_groups)
    np.testing.assert_array_equal(merged, expected)


def test_merging_needs_a_group_for_each_document():
    """Ids and signatures of different lengths are an error, not a silent cut."""
    with pytest.raises(ValueError, match="zip"):
        merge_signatures(np.zeros((3, 2), dtype=np.uint32), np.array([1, 1]))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"num_perm": 0}, "num_perm = 0"),
        ({"num_perm": 4, "ngram": 0}, "ngram = 0"),
        ({"num_perm": 4, "seed": -1}, "-1"),
    ],
)
def test_impossible_parameters_are_user_errors(arguments, named):
    """The message names the parameter and its value."""
    with pytest.raises(UserError, match=named):
        MinHasher(**arguments)


def test_a_column_that_is_no_text_is_a_user_error():
    """The message names the type that was found."""
    with pytest.raises(UserError, match="int64"):
        MinHasher(4).signatures(pa.array([1, 2]))


def test_kernels_compile_where_nothing_can_be_cached():
    """numba finds no place for code without a source file, as it finds none on a read-only machine."""
    namespace: dict[str, object] = {}
    exec(compile("def double(x):\n    return 2 * x", "<nowhere>", "exec"), namespace)
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(namespace["double"])
    assert compiled(namespace["double"])(21) == 42
