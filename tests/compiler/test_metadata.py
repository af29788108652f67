"""What the compiler learns of a source, and that its digest is of content and names alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import metadata
from compiler.errors import UserError
from compiler.metadata import describe, list_files, walk_repositories


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize("limit", [metadata.WHOLE_LIMIT, 0])
def test_the_digest_moves_with_the_content_only(tmp_path, monkeypatch, limit):
    """Another place and other times: the same digest. Another byte, name or file: another one."""
    monkeypatch.setattr(metadata, "WHOLE_LIMIT", limit)
    files = {"r/a.txt": "one", "r/b/c.txt": "two", "q/d.txt": "three"}
    first = describe("directory", str(tree(tmp_path / "first", files)), name="s")
    assert (first.files, first.bytes, first.rows) == (3, 11, None)
    assert first.digest.startswith(first.rule + ":")
    assert first.rule == ("bytes" if limit else "footer")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    os.utime(tmp_path / "second" / "r" / "a.txt", (1, 1))
    assert describe("directory", str(tmp_path / "second"), name="other") == first
    changes = [{"r/a.txt": "0ne"}, {"r/e.txt": ""}, {"r/a.txt": "onetwo", "r/b/c.txt": ""}]
    for k, change in enumerate(changes):
        other = describe("directory", str(tree(tmp_path / f"c{k}", files | change)), name="s")
        assert other.digest != first.digest
    os.rename(tmp_path / "second" / "r" / "a.txt", tmp_path / "second" / "r" / "z.txt")
    assert describe("directory", str(tmp_path / "second"), name="s").digest != first.digest


@settings(max_examples=20, deadline=None)
@given(
    counts=st.lists(st.integers(0, 400), min_size=1, max_size=3).filter(any),
    columns=st.integers(1, 20),
    group=st.integers(1, 100),
)
def test_rows_of_parquet_are_read_from_the_footer(counts, columns, group, tmp_path_factory):
    """The number of rows equals Arrow's, for schemas of any width and kind."""
    folder = tmp_path_factory.mktemp("rows")
    kinds = [
        pa.string(),
        pa.list_(pa.int32()),
        pa.struct([("a", pa.int8())]),
        pa.timestamp("us", "UTC"),
        pa.decimal128(9, 2),
    ]
    for k, count in enumerate(counts):
        table = pa.table({f"c{i}": pa.nulls(count, kinds[i % len(kinds)]) for i in range(columns)})
        pq.write_table(table, folder / f"{k}.parquet", row_group_size=group)
    stats = describe("parquet", f"{folder}/*.parquet", name="s")
    assert (stats.rows, stats.files) == (sum(counts), len(counts))


def test_great_sources_are_told_by_their_footers(tmp_path, monkeypatch):
    """Above the limit only footers enter: other rows give other statistics there."""
    monkeypatch.setattr(metadata, "WHOLE_LIMIT", 100)
    digests = set()
    for values in (["a", "b"], ["a", "c"]):
        pq.write_table(pa.table({"content": values}), tmp_path / "a.parquet")
        stats = describe("parquet", str(tmp_path / "a.parquet"), name="s")
        assert (stats.rule, stats.rows) == ("footer", 2)
        digests.add(stats.digest)
    assert len(digests) == 2


def test_the_ends_of_a_great_file_count(tmp_path, monkeypatch):
    """Of other formats the first and the last MiB and the size enter the digest; the middle does not."""
    monkeypatch.setattr(metadata, "WHOLE_LIMIT", 0)
    path, digests = tmp_path / "a.jsonl", []
    for position in (None, 0, (3 << 20) - 1, 3 << 19):
        data = bytearray(b"x" * (3 << 20))
        if position is not None:
            data[position] = ord("y")
        path.write_bytes(data)
        digests.append(describe("jsonl", str(path), name="s").digest)
    assert len(set(digests)) == 3
    assert digests[3] == digests[0]


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"x" * 100, b"PAR1" + b"\xff\xff\xff\x7fPAR1", b"PAR1\x19\x01\0\0\0PAR1"]
)
def test_what_is_no_parquet_file_is_refused(tmp_path, data):
    """A file that is empty, of another format, cut, or with a footer that cannot be parsed."""
    pq.write_table(pa.table({"content": ["x"]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(data)
    with pytest.raises(UserError, match=rf"b\.parquet \({len(data)} bytes\) is not a"):
        describe("parquet", f"{tmp_path}/*.parquet", name="s")


def test_names_are_relative_to_the_wildcard(tmp_path):
    """A glob names files by what it varies; a plain path by its last part, even if it holds a bracket."""
    tree(tmp_path / "da[ta]", {"x/1.jsonl": "{}", "y/2.jsonl": "{}"})
    shutil.copytree(tmp_path / "da[ta]", tmp_path / "data")
    assert [file.name for file in list_files("jsonl", f"{tmp_path}/data/**/*.jsonl", name="s")] == [
        "x/1.jsonl",
        "y/2.jsonl",
    ]
    assert [file.name for file in list_files("jsonl", f"{tmp_path}/data/x/?.jsonl", name="s")] == ["1.jsonl"]
    assert [file.name for file in list_files("jsonl", f"{tmp_path}/da[ta]/x/1.jsonl", name="s")] == ["1.jsonl"]


@pytest.mark.parametrize(
    ("form", "location"), [("parquet", "none/*.parquet"), ("jsonl", "empty.jsonl"), ("directory", "repos")]
)
def test_an_empty_source_is_refused(tmp_path, form, location):
    """No file, or nothing but empty ones."""
    (tmp_path / "empty.jsonl").touch()
    tree(tmp_path / "repos", {"beside.txt": "x", "repo/.git/HEAD": "x"})
    with pytest.raises(UserError, match="source 'mine' has no documents") as error:
        describe(form, str(tmp_path / location), name="mine")
    assert str(tmp_path / location) in error.value.what


def test_an_unreadable_directory_is_refused(tmp_path, monkeypatch):
    """A directory that cannot be listed is not taken for an empty one."""
    tree(tmp_path, {"repo/a/b.txt": "x"})
    plain = os.scandir

    def scandir(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=r"cannot read .*Permission denied"):
        list(walk_repositories(tmp_path))


def test_no_engine_is_loaded():
    """Compiling must stay fast: neither DuckDB nor Arrow nor NumPy."""
    code = "import sys, compiler.metadata; print({'duckdb', 'pyarrow', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
