"""Every format gives the same documents whatever the shards, and says what is wrong with its files."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import Columns, Reader
from runtime.data.sources import READ_SCHEMA, defect, json_lines, read_documents, shard_range, size_of, split_bytes
from runtime.data.tables import DOCUMENT_SCHEMA, TableWriter, row_sizes

FIXTURES = Path(__file__).parents[2] / "fixtures" / "sources"
BARE = Columns(repo="", path="")
STARS = Columns(content="text", doc_id="id", path="file", language="lang", stars="stars")


def read(reader, inputs=(), shards=1, **options):
    """All shards' rows, shard by shard, and what was dropped."""
    rows, dropped = [], []
    for shard in range(shards):
        for batch in read_documents(
            reader, list(inputs), shard, shards, on_drop=lambda *drop: dropped.append(drop), **options
        ):
            rows += batch.to_pylist()
    return rows, dropped


def by_shard(reader, shards):
    """The rows of each shard, and that their positions grow."""
    parts = []
    for shard in range(shards):
        batches = read_documents(reader, [], shard, shards, on_drop=print)
        parts.append([row for batch in batches for row in batch.to_pylist()])
    return parts


def parquet(folder, columns, name="a.parquet", **options):
    """A Parquet source of one file."""
    pq.write_table(pa.table(columns), folder / name, **options)
    return Reader(source="s", format="parquet", location=f"{folder}/*.parquet", columns=BARE)


def lines(folder, *records, name="a.jsonl", columns=BARE):
    text = "".join(record if isinstance(record, str) else json.dumps(record) + "\n" for record in records)
    (folder / name).write_text(text)
    return Reader(source="s", format="jsonl", location=f"{folder}/*.jsonl", columns=columns)


def unchecked(values):
    """A string column with bytes that are not UTF-8, as some writers leave them."""
    raw = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())


# ---------------------------------------------------------------- what is text


@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode))
def test_a_defect_is_what_python_cannot_decode_or_a_nul(content):
    """The rule and its place agree with decoding up to there."""
    found = defect(content)
    if found is None:
        assert "\0" not in content.decode()
    else:
        rule, position = found
        assert "\0" not in content[: int(position)].decode()
        broken = content[int(position) :]
        assert (broken[0] == 0) is (rule == "nul_bytes")
        assert rule == "nul_bytes" or "\ufffd" in broken.decode(errors="replace")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_unreadable_cells_are_dropped_and_the_rest_kept(tmp_path, kind):
    """Broken UTF-8 in a string column, which Arrow does not check, is found; so are NUL and null."""
    values = [b"fine", b"caf\xe9", b"a\0b", None, "größe".encode(), b"\0\xff", b""]
    raw = pa.array(values, pa.large_binary() if "large" in str(kind) else pa.binary())
    column = pa.Array.from_buffers(kind, len(raw), raw.buffers())
    reader = parquet(tmp_path, {"content": column})
    rows, dropped = read(reader)
    assert [row["content"] for row in rows] == ["fine", "größe", ""]
    assert dropped == [
        ("s//a.parquet#2", "undecodable", 3.0),
        ("s//a.parquet#3", "nul_bytes", 1.0),
        ("s//a.parquet#4", "missing_content", None),
        ("s//a.parquet#6", "nul_bytes", 0.0),
    ]


# ---------------------------------------------------------------- Parquet


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=4).filter(any),
    group=st.integers(1, 15),
    shards=st.integers(1, 9),
    batch_bytes=st.integers(1, 2000),
)
def test_parquet_shards_are_the_rows_in_order(counts, group, shards, batch_bytes, tmp_path_factory):
    """Over all shards every row comes once, in the order of the files, whatever the row groups."""
    folder, start = tmp_path_factory.mktemp("parquet"), 0
    for k, count in enumerate(counts):
        numbers = range(start, start + count)
        columns = {
            "id": pa.array(numbers, pa.int64()),
            "content": pa.array([f"text {i}" for i in numbers], pa.string()),
        }
        pq.write_table(pa.table(columns), folder / f"{k}.parquet", row_group_size=group)
        start += count
    reader = Reader(
        source="s",
        format="parquet",
        location=f"{folder}/*.parquet",
        columns=Columns(doc_id="id", repo="", path=""),
    )
    rows, _ = read(reader, shards=shards, batch_bytes=batch_bytes)
    assert [row["doc_id"] for row in rows] == [str(i) for i in range(start)]
    assert [row["content"] for row in rows] == [f"text {i}" for i in range(start)]


def test_only_the_row_groups_of_a_shard_are_read(tmp_path, monkeypatch):
    """A shard of a great file does not cost the whole file."""
    reader = parquet(tmp_path, {"content": [f"{i:02}" for i in range(100)]}, row_group_size=10)
    asked = []
    plain = pq.ParquetFile.iter_batches

    def spy(self, *args, **options):
        asked.extend(options["row_groups"])
        return plain(self, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    batches = list(read_documents(reader, [], 2, 8, on_drop=print))
    assert [row["content"] for batch in batches for row in batch.to_pylist()] == [f"{i}" for i in range(25, 38)]
    assert asked == [2, 3]


def test_shards_take_equal_bytes_rather_than_equal_rows(tmp_path):
    """A file of few great documents beside one of many small ones."""
    parquet(tmp_path, {"content": [f"{i}" * 10_000 for i in range(10, 20)]}, "a.parquet", use_dictionary=False)
    reader = parquet(tmp_path, {"content": [f"{i}" for i in range(1000)]}, "b.parquet", use_dictionary=False)
    parts = [read(reader)[0], *([row for row in shard if row] for shard in by_shard(reader, 4))]
    assert [row["position"] for row in parts[0]] == list(range(1010))
    assert [row for part in parts[1:] for row in part] == parts[0]
    sizes = [sum(len(row["content"]) + 1 for row in part) for part in parts[1:]]
    assert max(sizes) <= size_of(reader, []) / 4 + 20_001
    assert min(sizes) >= size_of(reader, []) / 4 - 20_001


@settings(max_examples=40, deadline=None)
@given(
    files=st.lists(st.lists(st.text("ab \u00e9", max_size=9), max_size=8), min_size=1, max_size=3).filter(any),
    shards=st.integers(1, 9),
    newline=st.booleans(),
)
def test_json_lines_shards_are_the_lines_in_order(files, shards, newline, tmp_path_factory):
    """Cut at any byte, a plain file gives each line once, with its own number; a compressed one goes to one shard."""
    folder = tmp_path_factory.mktemp("lines")
    for k, texts in enumerate(files):
        data = "\n".join(json.dumps({"content": text}, ensure_ascii=False) for text in texts).encode()
        data += b"\n" if newline and texts else b""
        if k == 1:
            (folder / f"{k}.jsonl.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{k}.jsonl").write_bytes(data)
    reader = Reader(source="s", format="jsonl", location=f"{folder}/*", columns=BARE)
    whole = read(reader)[0]
    assert [row["content"] for row in whole] == [text for texts in files for text in texts]
    assert [row["path"].rpartition("#")[2] for row in whole] == [f"{n}" for t in files for n in range(1, len(t) + 1)]
    assert [row for part in by_shard(reader, shards) for row in part] == whole
    assert sorted({row["position"] for row in whole}) == [row["position"] for row in whole]


def test_parquet_columns_are_mapped_and_converted(tmp_path):
    """Other widths, binary for string, dictionaries, times, whole floats and nulls all fit."""
    columns = {
        "text": pa.array([b"one", b"two"]),
        "name": pa.array(["r", None]).dictionary_encode(),
        "file": pa.array(["p", ""]),
        "kind": unchecked([b"Go\xff", None]),
        "likes": pa.array([3.0, None], pa.float64()),
        "when": pa.array([1_700_000_000_123, None], pa.timestamp("ms")),
    }
    mapping = Columns(content="text", repo="name", path="file", language="kind", stars="likes", commit_time="when")
    reader = parquet(tmp_path, columns)
    (batch,) = read_documents(
        Reader(source="s", format="parquet", location=reader.location, columns=mapping),
        [],
        0,
        1,
        on_drop=print,
    )
    assert batch.schema.equals(READ_SCHEMA)
    first, second = batch.to_pylist()
    assert first == {
        "position": 0,
        "doc_id": "s/r/p",
        "source": "s",
        "repo": "r",
        "path": "p",
        "language": "Go\\xff",
        "stars": 3,
        "commit_time": 1_700_000_000,
        "content": "one",
    }
    assert second == {
        "position": 1,
        "doc_id": "s//a.parquet#2",
        "source": "s",
        "repo": "",
        "path": "a.parquet#2",
        "language": None,
        "stars": 0,
        "commit_time": 0,
        "content": "two",
    }


def test_own_documents_come_back_as_written(tmp_path):
    """Format "documents" reads the output of an upstream task; an empty one is no error."""
    rows = [
        {"doc_id": f"s/r/{i}", "source": "s", "repo": "r", "path": f"{i}", "language": "Go"}
        | {"stars": i, "commit_time": 7, "content": "x" * i}
        for i in range(5)
    ]
    with TableWriter(tmp_path, DOCUMENT_SCHEMA, max_rows=2) as writer:
        writer.write_rows(rows)
    reader = Reader(source="s", format="documents")
    placed = [{**row, "position": i} for i, row in enumerate(rows)]
    assert read(reader, writer.files, shards=3) == (placed, [])
    with TableWriter(tmp_path / "empty", DOCUMENT_SCHEMA) as empty:
        pass
    assert read(reader, empty.files, shards=2) == ([], [])


def test_columns_can_be_picked(tmp_path):
    """Content that is not asked for is not read, and nothing is dropped for it."""
    reader = parquet(tmp_path, {"content": pa.array([None, "x"])})
    rows, dropped = read(reader, columns=["stars", "doc_id"])
    assert rows == [{"stars": 0, "doc_id": f"s//a.parquet#{i}"} for i in (1, 2)]
    assert dropped == []
    assert read(reader, columns=["content"]) == (
        [{"content": "x"}],
        [("s//a.parquet#1", "missing_content", None)],
    )


def test_batches_are_bounded_by_bytes(tmp_path):
    """No batch holds more than batch_bytes unless one row does."""
    texts = ["x" * (100 * (i % 7) + (5000 if i == 9 else 0)) for i in range(60)]
    reader = parquet(tmp_path, {"content": texts})
    batches = list(read_documents(reader, [], 0, 1, on_drop=print, batch_bytes=2000))
    assert all(batch.num_rows == 1 or row_sizes(batch).sum() <= 2000 for batch in batches)
    assert sum(batch.num_rows for batch in batches) == 60
    assert list(split_bytes(batches[0].slice(0, 0), 10)) == []


def test_memory_does_not_grow_with_the_row_group(tmp_path):
    """60 MB in one row group are read with less than half of it in memory, in a process of their own."""
    texts = [random.Random(i).randbytes(15_000).hex() for i in range(2000)]
    pq.write_table(pa.table({"content": texts}), tmp_path / "a.parquet", use_dictionary=False, write_batch_size=16)
    code = f"""
import pyarrow
from compiler.ir import Columns, Reader
from runtime.data.sources import read_documents
location, columns = {str(tmp_path)!r} + "/*", Columns(repo="", path="")
reader = Reader(source="s", format="parquet", location=location, columns=columns)
batches = read_documents(reader, [], 0, 1, on_drop=print, batch_bytes=1 << 20)
print(sum(batch.num_rows for batch in batches), pyarrow.default_memory_pool().max_memory())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows, peak = map(int, done.stdout.split())
    assert rows == 2000
    assert peak < 25e6


def test_a_missing_column_names_those_that_exist(tmp_path):
    """A misspelled column is answered with the nearest one."""
    reader = parquet(tmp_path, {"contents": ["x"], "id": [1]})
    with pytest.raises(UserError, match=r"no column 'content' \(for content\); .*'contents'.*did you mean") as error:
        read(reader)
    assert error.value.where.endswith("a.parquet")
    missing_path = Reader(source="s", format="parquet", location=reader.location, columns=Columns(content="contents"))
    with pytest.raises(UserError, match='or "" where there is none'):
        read(missing_path)


@pytest.mark.parametrize(
    ("columns", "mapping", "said"),
    [
        ({"content": [1, 2]}, {}, "int64, which is no text"),
        ({"content": ["x"], "n": ["many"]}, {"stars": "n"}, "'n' of type string is not whole numbers"),
        ({"content": ["x"], "n": [0.5]}, {"stars": "n"}, "not whole numbers"),
        ({"content": ["x"], "n": pa.array([2**63], pa.uint64())}, {"stars": "n"}, "not whole numbers"),
        ({"content": ["x"], "n": [["a"]]}, {"repo": "n"}, "list<.*>, which is no name"),
    ],
)
def test_a_column_of_the_wrong_type_is_refused(tmp_path, columns, mapping, said):
    """The file, the column and its type are named."""
    reader = parquet(tmp_path, columns)
    names = Columns(**{"repo": "", "path": "", **mapping})
    with pytest.raises(UserError, match=said):
        read(Reader(source="s", format="parquet", location=reader.location, columns=names))


@pytest.mark.parametrize("keep", [0, 7, 0.5, -4])
def test_a_truncated_parquet_file_is_refused(tmp_path, keep):
    """Its path and size are told, and what the library said."""
    reader = parquet(tmp_path, {"content": [f"{i}" * 50 for i in range(1000)]})
    path = tmp_path / "a.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep == 0.5 else keep])
    with pytest.raises(UserError, match=rf"a\.parquet \({path.stat().st_size} bytes\) cannot be read as Parquet: \w+"):
        read(reader)


def test_damage_inside_a_parquet_file_is_refused(tmp_path):
    """Whatever bit flips in pages with checksums, the text is refused or the same, never another."""
    numbers = random.Random(1)
    texts = [f"{numbers.getrandbits(160):040x}" for _ in range(500)]
    reader = parquet(tmp_path, {"content": texts}, compression="zstd", write_page_checksum=True)
    path = tmp_path / "a.parquet"
    whole = path.read_bytes()
    refused = 0
    for position in [*range(4, 64), *(numbers.randrange(64, len(whole) - 1000) for _ in range(60))]:
        data = bytearray(whole)
        data[position] ^= 1 << numbers.randrange(8)
        path.write_bytes(data)
        try:
            assert [row["content"] for row in read(reader)[0]] == texts
        except UserError as error:
            assert "cannot be read as Parquet" in error.what
            refused += 1
    assert refused > 90


def test_rows_that_do_not_come_are_missed(tmp_path):
    """A flipped bit in the header of a page can end a column early; that is no shorter table."""
    reader = parquet(tmp_path, {"content": [f"{i:040x}" for i in range(2000)]}, use_dictionary=False)
    path = tmp_path / "a.parquet"
    whole, outcomes = path.read_bytes(), set()
    for position, bit in itertools.product(range(4, 24), range(8)):
        data = bytearray(whole)
        data[position] ^= 1 << bit
        path.write_bytes(data)
        try:
            outcomes.add(f"{len(read(reader)[0])} rows")
        except UserError as error:
            outcomes.add("missed" if "row group 0 holds 0 of 2000 rows" in error.what else "refused")
    assert outcomes == {"2000 rows", "refused", "missed"}


# ---------------------------------------------------------------- JSON Lines


def test_json_lines_of_every_kind():
    """Ids that are numbers or absent, null, NUL, a lone surrogate, a blank line, a ragged record."""
    reader = Reader(source="web", format="jsonl", location=str(FIXTURES / "stars.jsonl"), columns=STARS)
    rows, dropped = read(reader)
    assert [(row["doc_id"], row["language"], row["stars"]) for row in rows] == [
        ("17", "Go", 12),
        ("x-2", None, 12),
        ("web/bob/heap/heap.rs", None, 0),
    ]
    assert rows[1]["content"] == "# Größe und Ordnung\n"
    assert dropped == [
        ("x-4", "missing_content", None),
        ("x-5", "nul_bytes", 1.0),
        ("x-6", "undecodable", 3.0),
    ]


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(any), shards=st.integers(1, 6))
def test_json_shards_are_the_same_set(counts, shards, tmp_path_factory):
    """Several files are dealt out whole, one file by lines; either way each line comes once."""
    folder = tmp_path_factory.mktemp("jsonl")
    for k, count in enumerate(counts):
        reader = lines(folder, *({"content": f"{k}-{i}"} for i in range(count)), name=f"{k}.jsonl")
    rows, _ = read(reader, shards=shards)
    expected = [f"{k}-{i}" for k, count in enumerate(counts) for i in range(count)]
    assert sorted(row["content"] for row in rows) == sorted(expected)
    assert len({row["doc_id"] for row in rows}) == len(expected)


def test_compressed_json_lines(tmp_path):
    """.gz (of several members) and .zst read as plain text does; a byte-order mark is no part of the line."""
    first, second = b'\xef\xbb\xbf{"content": "one"}\n', b'{"content": "two"}'
    (tmp_path / "plain.jsonl").write_bytes(first + second)
    (tmp_path / "members.jsonl.gz").write_bytes(gzip.compress(first) + gzip.compress(second))
    with pa.CompressedOutputStream(str(tmp_path / "frame.jsonl.zst"), "zstd") as stream:
        stream.write(first + second)
    for name in ("plain.jsonl", "members.jsonl.gz", "frame.jsonl.zst"):
        reader = Reader(source="s", format="jsonl", location=str(tmp_path / name), columns=BARE)
        rows, _ = read(reader)
        assert [(row["path"], row["content"]) for row in rows] == [(f"{name}#1", "one"), (f"{name}#2", "two")]


def test_bytes_of_json_that_are_not_utf8_cost_only_their_document(tmp_path):
    """The line is still parsed, so that its id is known."""
    (tmp_path / "a.jsonl").write_bytes(b'{"content": "ab\xff", "id": "x"}\n{"content": "ok", "id": "y"}\n')
    names = Columns(doc_id="id", repo="", path="")
    reader = Reader(source="s", format="jsonl", location=f"{tmp_path}/*.jsonl", columns=names)
    rows, dropped = read(reader)
    assert [row["doc_id"] for row in rows] == ["y"]
    assert dropped == [("x", "undecodable", 2.0)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"content": "x"\n', "not valid JSON: Expecting ',' delimiter at column"),
        ("[1]\n", "JSON of type list, not an object"),
        ('{"content": 5}\n', "'content' is of type int, not a string"),
        ('{"content": "x", "n": 1.5}\n', "'n' is 1.5, not a whole number"),
        ('{"content": "x", "n": NaN}\n', "'n' is nan, not a whole number"),
        ('{"content": "x", "n": 99999999999999999999}\n', "not a whole number of 64 bits"),
        ('{"content": "x", "r": {"a": 1}}\n', "repo is of type dict, not a string"),
        ("[" * 100_000 + "\n", "not valid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, said):
    """File and line, and what is wrong there."""
    reader = lines(tmp_path, {"content": "", "n": 1, "r": ""}, line, columns=Columns(repo="r", path="", stars="n"))
    with pytest.raises(UserError) as error:
        read(reader)
    assert error.value.where == f"{tmp_path}/a.jsonl:2"
    assert said in error.value.what


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    """Memory is bounded: a file without line breaks is not read whole to find that out."""
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 100)
    with pytest.raises(UserError, match="longer than 100 bytes"):
        read(lines(tmp_path, {"content": "x" * 200}))


def test_a_key_that_no_line_has_is_a_misnamed_column(tmp_path):
    """A record may lack a key; all of the first records may not."""
    with pytest.raises(UserError, match=r"named 'content' .*there are 'contend'; did you mean 'contend'"):
        read(lines(tmp_path, {"contend": "x"}, {"contend": "y"}))
    rows, dropped = read(lines(tmp_path, {"other": 1}, {"content": "y"}))
    assert [row["content"] for row in rows] == ["y"]
    assert [rule for _, rule, _ in dropped] == ["missing_content"]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_truncated_stream_is_refused(tmp_path, name):
    """Half of a compressed file is not taken for a shorter one."""
    plain = b"".join(b'{"content": "%s"}\n' % os.urandom(30).hex().encode() for _ in range(2000))
    data = gzip.compress(plain) if name.endswith("gz") else pa.Codec("zstd").compress(plain, asbytes=True)
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="cannot be read"):
        read(Reader(source="s", format="jsonl", location=f"{tmp_path}/*", columns=BARE))


# ---------------------------------------------------------------- directories


def test_a_directory_of_repositories():
    """Repositories are the first level, paths start below them, files beside them are not read."""
    reader = Reader(source="git", format="directory", location=str(FIXTURES / "repositories"))
    rows, dropped = read(reader)
    assert [(row["doc_id"], row["repo"], row["path"]) for row in rows] == [
        ("git/alpha/README.md", "alpha", "README.md"),
        ("git/alpha/src/main.go", "alpha", "src/main.go"),
        ("git/beta/main.rs", "beta", "main.rs"),
    ]
    assert rows[1]["content"] == "package main\n\nfunc main() {}\n"
    assert (rows[0]["stars"], rows[0]["commit_time"], rows[0]["language"]) == (0, 0, None)
    assert dropped == []


def test_what_is_no_document_is_passed_over(tmp_path):
    """Symbolic links out of the tree, version control's own files and pipes are not followed or read."""
    repo = tmp_path / "root" / "repo"
    (repo / ".git").mkdir(parents=True)
    (repo / ".git" / "config").write_text("secret")
    (repo / "sub").mkdir()
    (repo / "sub" / ".git").write_text("gitdir: ../.git")
    (repo / "sub" / ".gitignore").write_text("*.o\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "passwd").write_text("secret")
    (repo / "link").symlink_to(tmp_path / "outside" / "passwd")
    (repo / "folder").symlink_to(tmp_path / "outside")
    (repo / "loop").symlink_to(repo)
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "outside")
    os.mkfifo(repo / "pipe")
    rows, _ = read(Reader(source="s", format="directory", location=str(tmp_path / "root")))
    assert [row["path"] for row in rows] == ["sub/.gitignore"]


def test_binary_and_broken_files_are_dropped(tmp_path):
    """A NUL in the first MiB or a broken end; a character across the first MiB is whole."""
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "a.bin").write_bytes(b"\x7fELF\0" + bytes(10))
    (repo / "b.txt").write_bytes(b"x" * (1 << 20) + b"\xff")
    (repo / "c.txt").write_bytes(b"x" * ((1 << 20) - 1) + "é".encode())
    (repo / "d.txt").write_bytes(b"cut \xc3")
    rows, dropped = read(Reader(source="s", format="directory", location=str(tmp_path)))
    assert [row["path"] for row in rows] == ["c.txt"]
    assert sorted(dropped) == [
        ("s/repo/a.bin", "nul_bytes", 4.0),
        ("s/repo/b.txt", "undecodable", float(1 << 20)),
        ("s/repo/d.txt", "undecodable", 4.0),
    ]


@pytest.mark.parametrize("shards", [2, 5])
def test_directory_shards_are_the_same_set(tmp_path, shards):
    """Each file belongs to one shard, also where the names are not UTF-8."""
    for i in range(30):
        folder = tmp_path / f"repo{i % 3}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{i}.txt").write_text(f"{i}")
    Path(os.fsdecode(os.fsencode(tmp_path / "repo0") + b"/caf\xe9.txt")).write_text("30")
    reader = Reader(source="s", format="directory", location=str(tmp_path))
    parts = [list(read_documents(reader, [], k, shards, on_drop=print)) for k in range(shards)]
    rows = [row for part in parts for batch in part for row in batch.to_pylist()]
    assert all(parts)
    assert sorted(int(row["content"]) for row in rows) == list(range(31))
    assert "caf\\xe9.txt" in {row["path"] for row in rows}


# ---------------------------------------------------------------- nothing to read


@pytest.mark.parametrize("form", ["parquet", "jsonl", "directory"])
def test_an_empty_source_is_an_error_in_every_shard(tmp_path, form):
    """No file, or files without a document: the place is named."""
    (tmp_path / "root").mkdir()
    location = str(tmp_path / "root") + ("" if form == "directory" else "/*")
    reader = Reader(source="mine", format=form, location=location, columns=BARE)
    with pytest.raises(UserError, match=rf"source 'mine' has no documents: no files.* at {tmp_path}/root"):
        list(read_documents(reader, [], 1, 2, on_drop=print))
    if form == "parquet":
        pq.write_table(pa.table({"content": pa.array([], pa.string())}), tmp_path / "root" / "a.parquet")
    elif form == "jsonl":
        (tmp_path / "root" / "a.jsonl").write_text("\n \n")
    else:
        (tmp_path / "root" / "repo" / ".git").mkdir(parents=True)
    with pytest.raises(UserError, match="source 'mine' has no documents"):
        list(read_documents(reader, [], 1, 2, on_drop=print))


def test_a_directory_that_is_none_is_refused(tmp_path):
    """A file, or a name that does not exist, is no directory of repositories."""
    with pytest.raises(UserError, match="nowhere is not a directory"):
        read(Reader(source="s", format="directory", location=str(tmp_path / "nowhere")))


@given(total=st.integers(0, 10**12), shards=st.integers(1, 1000))
def test_shard_ranges_meet_and_are_even(total, shards):
    """Ranges follow one another from 0 to the total and differ by at most one."""
    ranges = [shard_range(total, k, shards) for k in range(shards)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == total
    assert all(one[1] == two[0] for one, two in itertools.pairwise(ranges))
    assert max(end - start for start, end in ranges) - min(end - start for start, end in ranges) <= 1
