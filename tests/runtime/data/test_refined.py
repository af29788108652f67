"""Streams side by side: a verdict is found for every document that has one, whatever the batches and files."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.data.refined import Selection, Verdicts, read_refined


def written(folder, positions, files=1, group=3):
    """A verdict on each position, in so many files one after another."""
    paths = []
    for k, part in enumerate(np.array_split(np.array(positions, dtype=np.int64), files)):
        path = folder / f"{k:05d}.parquet"
        pq.write_table(pa.table({"said": [f"v{p}" for p in part], "position": part}), path, row_group_size=group)
        paths.append(path)
    return paths


@settings(max_examples=60, deadline=None)
@given(
    verdicts=st.sets(st.integers(0, 60)).map(sorted),
    documents=st.sets(st.integers(0, 60)).map(sorted),
    cuts=st.sets(st.integers(0, 60)).map(sorted),
    files=st.integers(1, 4),
    group=st.integers(1, 9),
)
def test_verdicts_are_those_of_a_join(verdicts, documents, cuts, files, group, tmp_path_factory):
    """Batches may be empty, and may begin and end anywhere."""
    paths = written(tmp_path_factory.mktemp("verdicts"), verdicts, files, group)
    table, found = Verdicts(paths, ["said"]), []
    for low, high in itertools.pairwise([0, *cuts, 61]):
        batch = np.array([p for p in documents if low <= p < high], dtype=np.int64)
        indices, rows = table.of(batch)
        assert rows.column("position").to_pylist() == batch[indices].tolist()
        found += rows.column("said").to_pylist()
    assert found == [f"v{p}" for p in documents if p in set(verdicts)]


def test_positions_that_do_not_grow_are_refused(tmp_path):
    """A stream cannot be asked again for what it has passed."""
    table = Verdicts(written(tmp_path, [1, 2, 3]))
    table.of(np.array([2], dtype=np.int64))
    with pytest.raises(ValueError, match="positions do not grow: 2, then"):
        table.of(np.array([2, 3], dtype=np.int64))


def test_row_groups_before_the_first_position_are_not_read(tmp_path, monkeypatch):
    """A late shard does not pay for the verdicts of those before it."""
    paths = written(tmp_path, range(100), files=2, group=10)
    asked, plain = [], pq.ParquetFile.iter_batches

    def spy(self, *args, **options):
        asked.append(options["row_groups"])
        return plain(self, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    indices, _ = Verdicts(paths).of(np.array([85, 99], dtype=np.int64))
    assert indices.tolist() == [0, 1]
    assert asked == [[3, 4]]


def test_without_a_selection_all_are_selected(tmp_path):
    """And with one, those that it names."""
    batch = pa.record_batch({"position": pa.array([3, 5, 9], pa.int64())})
    assert Selection([]).indices(batch).tolist() == [0, 1, 2]
    assert Selection(written(tmp_path, [5, 6, 9])).indices(batch).tolist() == [1, 2]


@given(rows=st.integers(0, 40), files=st.integers(1, 3), shards=st.integers(1, 5), batch=st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_shards_of_clean_documents_are_all_of_them_in_order(rows, files, shards, batch, tmp_path_factory):
    """Each once."""
    paths = written(tmp_path_factory.mktemp("refined"), range(rows), files)
    read = [
        row["position"]
        for shard in range(shards)
        for part in read_refined(paths, shard, shards, ["position"], batch)
        for row in part.to_pylist()
    ]
    assert read == list(range(rows))
