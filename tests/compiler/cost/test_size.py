"""Sizes of data sets from what is declared or lies there, and what follows from them: shards and temporary disk."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import ir
from compiler.compile import compile_experiment
from compiler.cost.disk import temporary_disk
from compiler.cost.size import DOCUMENT_BYTES, PARQUET_EXPANSION, Size, dataset_sizes, planned_shards, source_bounds
from compiler.draft import Draft
from compiler.passes.resolve import resolve
from compiler.plan import SourceSummary
from ocspec import Dataset, Declared, Experiment, Parquet, PyPI
from ocspec.sources import Package, Source

EDGES = ir.Edges(granularity="file", exact=True, key=0, bands=16)


def sizes(mini: Experiment, base: Path, *sources: Source) -> dict[str, Size | None]:
    """Sizes of a data set of these sources, and of one that starts from it."""
    data = (Dataset(name="code", sources=sources), Dataset(name="more", base="code"))
    draft = Draft(experiment=mini.replace(data=data), base=base, shards=None)
    return dataset_sizes(resolve(draft))


def declared(name: str, **known: int) -> Parquet:
    return Parquet(name=name, path=f"{name}/*.parquet", declared=Declared(**known))


def test_declared_sizes_add_up(mini: Experiment, tmp_path: Path) -> None:
    """Bytes where they are said, documents by their mean size where only one of the two is."""
    one, other = declared("a", bytes=71_000), declared("b", documents=5)
    found = sizes(mini, tmp_path, one, other)
    assert found["code"] == found["more"] == Size(10 + 5, 71_000 + 5 * DOCUMENT_BYTES)


def test_files_tell_their_size(mini: Experiment, tmp_path: Path) -> None:
    """Rows from the footer; text by what Parquet makes of it."""
    pq.write_table(pa.table({"content": ["x", "y", "z"]}), tmp_path / "a.parquet")
    size = (tmp_path / "a.parquet").stat().st_size
    found = sizes(mini, tmp_path, Parquet(name="a", path="a.parquet"))
    assert found["code"] == Size(3, size * PARQUET_EXPANSION)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_the_text_of_parquet_lies_inside(tmp_path: Path, compression: str) -> None:
    """Whatever it is compressed with: real files, with the columns that say where they are from."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = [file.read_text() for file in files]
    table = pa.table({"content": text, "path": [file.name for file in files], "repo": ["python"] * len(files)})
    pq.write_table(table, tmp_path / "a.parquet", compression=compression)
    stored = (tmp_path / "a.parquet").stat().st_size
    _, bounds = source_bounds(SourceSummary(name="a", format="parquet", documents=len(files), stored_bytes=stored))
    assert sum(len(one.encode()) for one in text) in bounds


def test_what_is_not_known_is_none(mini: Experiment, tmp_path: Path) -> None:
    """Packages not fetched yet, whatever stands beside them: never zero."""
    packages = (Package(name="six", version="1.16.0", sha256="0" * 64),)
    assert sizes(mini, tmp_path, declared("a", bytes=5), PyPI(name="p", packages=packages)) == {
        "code": None,
        "more": None,
    }


@given(text=st.integers(0, 10**15), shard=st.integers(1, 10**11))
def test_no_shard_reads_more_than_asked_for(text: int, shard: int) -> None:
    """And one fewer would be too few."""
    number = planned_shards(Size(1, text), shard)
    assert number >= 1
    assert number * shard >= text
    assert number == 1 or (number - 1) * shard < text


def test_shards_come_from_bytes_unless_they_are_said(mini: Experiment, tmp_path: Path) -> None:
    """Each data set has its own number; neither it nor the bytes enter a fingerprint."""
    (code, *_) = mini.data
    sized = mini.replace(
        data=(code.replace(sources=(declared("big", bytes=10_500),)), *mini.data[1:]), shards=None, shard_bytes=1_000
    )
    plan = compile_experiment(sized, tmp_path)
    assert plan.task("code/sign").shards == plan.task("code/refine").shards == 11
    assert compile_experiment(sized, tmp_path, shards=3).task("code/sign").shards == 3
    larger = compile_experiment(sized.replace(shard_bytes=6_000), tmp_path)
    assert larger.task("code/sign").shards == 2
    assert [task.fingerprint for task in larger.tasks] == [task.fingerprint for task in plan.tasks]


@pytest.mark.parametrize(
    ("op", "shards", "expected"),
    [
        (ir.Sign(dataset="d", readers=()), 1, 0),
        (EDGES, 1, 64_000_000),
        (EDGES, 34, 32_000_000),
        (ir.Cluster(step="s", granularity="file"), 1, 48_000_000),
        (ir.Pack(dataset="d"), 1, 4_000_000_000),
    ],
)
def test_temporary_disk(op: ir.Operator, shards: int, expected: int) -> None:
    """A million documents of 3 kB; reading spills nothing, sorting all that it sorts."""
    assert temporary_disk(op, Size(1_000_000, 3_000_000_000), shards) == expected
    assert temporary_disk(op, None, shards) == (0 if expected == 0 else None)
