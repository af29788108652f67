"""Wheels are fetched with the real pip from a directory, unpacked, and nothing hostile in them does harm."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import tracemalloc
import warnings
import zipfile

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import PyPIPackage
from runtime.data import fetch
from runtime.data.fetch import FetchStats, fetch_packages, unpack
from runtime.data.tables import DOCUMENT_SCHEMA, DROPPED_SCHEMA

SIX = PyPIPackage(
    name="six", version="1.16.0", sha256="8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A directory that pip takes for the index; there is no other."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    return folder


def wheel(folder, name, version, files, tag="py3-none-any"):
    """A real wheel; `files` maps names to text, bytes or (ZipInfo, data). Returns its pin."""
    path, info = folder / f"{name}-{version}-{tag}.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 2, 3, 4, 5, 6)), data, zipfile.ZIP_DEFLATED)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return PyPIPackage(name=name, version=version, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def archive(path, *members):
    """A bare archive of (name or ZipInfo, data)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name, data in members:
            file.writestr(name, data)
    return path


def contents(path):
    """Documents by path, and dropped rows by the end of their id."""
    package, kept, dropped = PyPIPackage(name="p", version="1", sha256="0" * 64), {}, []
    for keep, row in unpack(path, package, "s"):
        if keep:
            kept[row["path"]] = row["content"]
        else:
            dropped.append((row["doc_id"].removeprefix("s/p@1/"), row["rule"]))
    return kept, dropped


def rows(folder):
    return pq.read_table(folder).to_pylist()


def test_packages_become_documents(tmp_path, index):
    """Two versions of one package and another one; metadata left out, a binary member dropped."""
    files = {"alpha/__init__.py": "VERSION = 1\n", "alpha/größe.txt": "ü", "alpha/logo.png": b"\x89PNG\0"}
    packages = [
        wheel(index, "alpha", "1.0", files),
        wheel(index, "alpha", "1.1", {"alpha/__init__.py": "VERSION = 2\n"}),
        wheel(index, "Beta_Lib", "2.0", {"beta.py": b"caf\xe9"}, tag="py2.py3-none-any"),
    ]
    stats = fetch_packages(packages, tmp_path / "out", tmp_path / "cache", source="pypi")
    assert stats == FetchStats(packages=3, documents=3, dropped=2, bytes=26)
    documents = pq.read_table(tmp_path / "out" / "documents")
    assert documents.schema.equals(DOCUMENT_SCHEMA)
    assert documents.to_pylist()[0] == {
        "doc_id": "pypi/alpha@1.0/alpha/__init__.py",
        "source": "pypi",
        "repo": "alpha@1.0",
        "path": "alpha/__init__.py",
        "language": None,
        "stars": 0,
        "commit_time": 1580702706,
        "content": "VERSION = 1\n",
    }
    assert pq.read_schema(tmp_path / "out" / "dropped" / "part-00000.parquet").equals(DROPPED_SCHEMA)
    assert [(row["doc_id"], row["step"], row["rule"], row["value"]) for row in rows(tmp_path / "out" / "dropped")] == [
        ("pypi/alpha@1.0/alpha/logo.png", "fetch", "undecodable", 0.0),
        ("pypi/Beta_Lib@2.0/beta.py", "fetch", "undecodable", 3.0),
    ]


def test_shards_partition_and_bytes_are_the_same_again(tmp_path, index):
    """Shards share the packages out; fetched again, in another order, each file is the same bytes."""
    packages = [wheel(index, f"p{i}", "1.0", {f"p{i}.py": f"x = {i}\n"}) for i in range(5)]
    paths = []
    for shard in range(2):
        fetch_packages(packages, tmp_path / f"{shard}", tmp_path / "c1", source="s", shard=shard, shards=2)
        again = tmp_path / f"again{shard}"
        fetch_packages(packages[::-1], again, tmp_path / "c2", source="s", shard=shard, shards=2)
        for name in ("documents", "dropped"):
            one, two = (folder / name / "part-00000.parquet" for folder in (tmp_path / f"{shard}", again))
            assert one.read_bytes() == two.read_bytes()
        paths += [row["path"] for row in rows(tmp_path / f"{shard}" / "documents")]
    assert sorted(paths) == [f"p{i}.py" for i in range(5)]


def test_the_cache_is_used_and_mended(tmp_path, index):
    """A wheel in the cache needs no index; one that is damaged there is fetched again."""
    package, cache = wheel(index, "alpha", "1.0", {"alpha.py": "x\n"}), tmp_path / "cache"
    fetch_packages([package], tmp_path / "a", cache, source="s")
    (cached,) = (cache / package.sha256).iterdir()
    assert os.listdir(cache) == [package.sha256]
    original = index / cached.name
    hidden = original.rename(tmp_path / "hidden.whl")
    fetch_packages([package], tmp_path / "b", cache, source="s")
    assert rows(tmp_path / "b" / "documents") == rows(tmp_path / "a" / "documents")
    hidden.rename(original)
    cached.write_bytes(b"damaged")
    fetch_packages([package], tmp_path / "c", cache, source="s")
    assert cached.read_bytes() == original.read_bytes()


def test_a_cached_wheel_is_not_taken_for_another_package(tmp_path, index):
    """A pin with the hash of another package fails with a warm cache as it does with a cold one."""
    package = wheel(index, "alpha", "1.0", {"alpha.py": "x\n"})
    fetch_packages([package], tmp_path / "a", tmp_path / "cache", source="s")
    other = PyPIPackage(name="alpha", version="1.1", sha256=package.sha256)
    with pytest.raises(UserError, match=r"alpha==1\.1 has no pure-Python wheel"):
        fetch_packages([other], tmp_path / "b", tmp_path / "cache", source="s")
    loose = PyPIPackage(name="alpha", version="1.0.0", sha256=package.sha256)
    with pytest.raises(UserError, match=r"came as alpha-1\.0-py3-none-any\.whl"):
        fetch_packages([loose], tmp_path / "b", tmp_path / "cache", source="s")


def test_every_package_that_fails_is_told(tmp_path, index):
    """Another hash, no such version, a wheel for one platform only, no such package: all at once."""
    good = wheel(index, "alpha", "1.0", {"alpha.py": "x\n"})
    compiled = wheel(index, "gamma", "1.0", {"gamma.so": "x"}, tag="cp311-cp311-linux_x86_64")
    changed = wheel(index, "delta", "1.0", {"delta.py": "x\n"})
    bad = [
        PyPIPackage(name="delta", version="1.0", sha256="0" * 64),
        PyPIPackage(name="alpha", version="9.9", sha256=good.sha256),
        PyPIPackage(name="nowhere", version="1.0", sha256="1" * 64),
    ]
    with pytest.raises(UserError) as error:
        fetch_packages([good, compiled, *bad], tmp_path / "out", tmp_path / "cache", source="s")
    said = str(error.value)
    assert f"delta==1.0 has SHA-256 {changed.sha256}, not the pinned {'0' * 64}" in said
    for name in ("alpha==9.9", "gamma==1.0", "nowhere==1.0"):
        assert f"{name} has no pure-Python wheel (py3-none-any)" in said
    assert "alpha==1.0" not in said
    assert said.count("fix:") == 4
    assert not (tmp_path / "out").exists()


def test_an_index_that_does_not_answer_is_told_without_its_address(tmp_path, index, monkeypatch):
    """The user learns that there is no network, not the name and password of the index."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setattr(fetch, "_PIP_OPTIONS", (*fetch._PIP_OPTIONS, "--retries=1"))
    with pytest.raises(UserError, match=r"six==1\.16\.0 cannot be fetched: the package index does not answer") as error:
        fetch_packages([SIX], tmp_path / "out", tmp_path / "cache", source="s")
    assert not re.search(r"127\.0|secret|http", str(error.value))
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "--index-url=x"}, "is no name and version"),
        ({"version": "1.0 --hash=x"}, "is no name and version"),
        ({"version": "1.0\n-r /etc/passwd"}, "is no name and version"),
        ({"sha256": "ABC"}, "not 64 hex digits"),
    ],
)
def test_a_pin_cannot_be_an_option(tmp_path, change, said):
    """Nothing but a name, a version and a hash reaches pip."""
    pin = {"name": "six", "version": "1.16.0", "sha256": "0" * 64} | change
    with pytest.raises(UserError, match=said):
        fetch_packages([PyPIPackage(**pin)], tmp_path / "out", tmp_path / "cache", source="s")


def test_a_package_is_listed_once(tmp_path):
    """Two spellings of one name are one package."""
    twice = [SIX, PyPIPackage(name="SIX", version="1.16.0", sha256="1" * 64)]
    with pytest.raises(UserError, match="listed twice"):
        fetch_packages(twice, tmp_path / "out", tmp_path / "cache", source="s")


# ---------------------------------------------------------------- hostile archives


@pytest.mark.parametrize("name", ["../up.py", "/etc/passwd", "a/../../b", "a\\..\\b", "C:/x", "a//b", "./a"])
def test_unsafe_paths_are_dropped(tmp_path, name):
    """A member that would leave its directory is no document; its neighbours are."""
    assert contents(archive(tmp_path / "a.zip", (name, "x"), ("ok.py", "y"))) == (
        {"ok.py": "y"},
        [(name, "unsafe_path")],
    )


def test_links_and_double_members_are_dropped(tmp_path):
    """Of two members of one name the last counts, as when unpacking; a link is no text."""
    link = zipfile.ZipInfo("link.py")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = archive(tmp_path / "a.zip", ("a.py", "old"), (link, "/etc/passwd"), ("a.py", "new"), ("dir/", ""))
    assert contents(path) == ({"a.py": "new"}, [("a.py", "duplicate_member"), ("link.py", "symbolic_link")])


def test_bombs_are_dropped_unread(tmp_path, monkeypatch):
    """Too large, too well packed, or too much in all: told by the numbers in the archive."""
    monkeypatch.setattr(fetch, "MEMBER_BYTES", 3_000_000)
    path = archive(
        tmp_path / "a.zip",
        ("zeros.txt", b"0" * 2_000_000),
        ("big.txt", b"0" * 3_000_001),
        ("ok", "0" * 500_000),
    )
    kept, dropped = contents(path)
    assert list(kept) == ["ok"]
    assert dropped == [("big.txt", "too_large"), ("zeros.txt", "compression_ratio")]
    monkeypatch.setattr(fetch, "ARCHIVE_BYTES", 5_000_000)
    with pytest.raises(UserError, match="unpacks to 5500001 bytes, more than the 5000000 allowed"):
        contents(path)


def test_a_size_that_lies_is_not_believed(tmp_path):
    """A member that says 10 bytes and holds 50 MB is unreadable, and is not unpacked."""
    path = archive(tmp_path / "a.zip", ("bomb.txt", b"0" * 50_000_000), ("ok.py", "x"))
    data = bytearray(path.read_bytes())
    true_size = struct.pack("<I", 50_000_000)
    assert data.count(true_size) == 2
    path.write_bytes(data.replace(true_size, struct.pack("<I", 10)))
    tracemalloc.start()
    assert contents(path) == ({"ok.py": "x"}, [("bomb.txt", "unreadable_member")])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_encrypted_members_are_dropped(tmp_path):
    """There is no password."""
    path = archive(tmp_path / "a.zip", ("secret.py", "x"))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[data.index(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(data)
    assert contents(path) == ({}, [("secret.py", "encrypted")])


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 399), value=st.integers(0, 255))
@example(position=226, value=0)  # a member without a name
def test_a_damaged_byte_never_crashes(position, value, tmp_path_factory):
    """Whatever byte of an archive changes: documents, dropped rows or a UserError."""
    path = tmp_path_factory.mktemp("zip") / "a.zip"
    data = bytearray(archive(path, ("a.py", "print(1)\n" * 20), ("b/c.txt", "text\n"), ("d.bin", b"\0")).read_bytes())
    data[position % len(data)] = value
    path.write_bytes(data)
    try:
        kept, dropped = contents(path)
    except UserError as error:
        assert "p==1" in error.what
    else:
        assert len(kept) + len(dropped) <= 3
        assert kept.get("a.py", "print(1)\n" * 20) == "print(1)\n" * 20


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06" + bytes(5)])
def test_what_is_no_archive_is_refused(tmp_path, data):
    """The package is named."""
    (tmp_path / "a.whl").write_bytes(data)
    with pytest.raises(UserError, match="p==1 is not a readable archive"):
        contents(tmp_path / "a.whl")


@pytest.mark.parametrize(
    ("when", "seconds"),
    [((1980, 1, 1, 0, 0, 0), 0), ((2001, 9, 9, 1, 46, 40), 1_000_000_000), ((1980, 1, 1, 5, 0, 0), 0)],
)
def test_the_time_of_a_member_is_utc(tmp_path, when, seconds):
    """The first day that an archive can tell stands for no time."""
    path = archive(tmp_path / "a.zip", (zipfile.ZipInfo("a.py", when), "x"))
    ((_, row),) = unpack(path, SIX, "s")
    assert row["commit_time"] == seconds


def test_batches_are_bounded(tmp_path, monkeypatch):
    """Text leaves for the disk before the archive is through; nothing is lost at the borders."""
    monkeypatch.setattr(fetch, "_BATCH_BYTES", 100)
    path = archive(tmp_path / "a.zip", *((f"{i:02}.txt", "x" * 40) for i in range(10)))
    batches = list(fetch._batched(unpack(path, SIX, "s")))
    assert [len(kept) for kept, _ in batches] == [3, 3, 3, 1]


@pytest.mark.network
def test_a_package_from_the_index(tmp_path):
    """The real thing: one small package as the index has it."""
    stats = fetch_packages([SIX], tmp_path / "out", tmp_path / "cache", source="pypi")
    assert stats == FetchStats(packages=1, documents=1, dropped=0, bytes=34549)
    (row,) = rows(tmp_path / "out" / "documents")
    assert row["content"].startswith("# Copyright (c) 2010-2020 Benjamin Peterson")
