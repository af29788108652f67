"""Documents read by their positions are the documents that a whole reading gives at those positions."""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.ir import Columns, Reader
from runtime.data.sources import parquet, read_at, read_documents

BARE = Columns(repo="", path="")
TEXTS = [f"document {number}\n" * (number % 7) for number in range(40)]


def make(form: str, root: Path) -> Reader:
    """Forty documents in two files (or repositories) of one format; some are empty, one holds a NUL."""
    texts = [*TEXTS[:11], "a\0b", *TEXTS[12:]]
    for number, half in enumerate((texts[:25], texts[25:])):
        if form == "parquet":
            pq.write_table(pa.table({"content": half}), root / f"{number}.parquet", row_group_size=4)
        elif form == "directory":
            (root / str(number)).mkdir()
            for row, text in enumerate(half):
                (root / str(number) / f"{row:02}.txt").write_text(text)
        else:
            lines = "".join(json.dumps({"content": text}) + "\n" for text in half).encode()
            name, data = (f"{number}.jsonl.gz", gzip.compress(lines)) if number else ("0.jsonl", lines)
            (root / name).write_bytes(data)
    location = str(root) if form == "directory" else f"{root}/*.{form}*"
    return Reader(source="s", format=form, location=location, columns=BARE)


@pytest.fixture(scope="module", params=["parquet", "jsonl", "directory"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return make(request.param, tmp_path_factory.mktemp(request.param))


def at(reader: Reader, positions: Collection[int]) -> tuple[list[dict], list[tuple]]:
    dropped: list[tuple] = []
    batches = read_at(reader, (), positions, on_drop=lambda *drop: dropped.append(drop))
    return [row for batch in batches for row in batch.to_pylist()], dropped


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_documents_at_positions_are_those_of_a_whole_reading(reader: Reader, data: st.DataObject) -> None:
    """In the order of positions, in whatever order they are asked for."""
    batches = read_documents(reader, (), 0, 1, on_drop=lambda *_: None)
    everything = {row["position"]: row for batch in batches for row in batch.to_pylist()}
    assert len(everything) == 39
    wanted = data.draw(st.lists(st.sampled_from(sorted(everything)), unique=True))
    assert at(reader, wanted) == ([everything[position] for position in sorted(wanted)], [])


def test_what_is_no_text_is_reported_and_what_is_not_there_is_left_out(reader: Reader) -> None:
    """The twelfth document holds a NUL; no position is so large."""
    rows, dropped = at(reader, {11, 1 << 40})
    assert rows == []
    assert [drop[1:] for drop in dropped] == [("nul_bytes", 1.0)]


def test_only_the_row_groups_that_hold_one_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two documents of two row groups of eleven."""
    reader = make("parquet", tmp_path)
    read: list[int] = []
    opened = parquet.open_parquet

    class Spy:
        def __init__(self, path: str) -> None:
            self.file = opened(path)

        def __enter__(self) -> Spy:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def iter_batches(self, *args: object, row_groups: list[int], **options: object) -> object:
            read.extend(row_groups)
            return self.file.iter_batches(*args, row_groups=row_groups, **options)

    monkeypatch.setattr(parquet, "open_parquet", Spy)
    rows, _ = at(reader, [5, 39])
    assert [row["position"] for row in rows] == [5, 39]
    assert read == [1, 3]
