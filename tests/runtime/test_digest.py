"""Content digests of outputs: shards add up; names, bytes and kinds matter; logs do not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from runtime.data.tables import TableWriter
from runtime.digest import combine, digest_output

SCHEMA = pa.schema({"id": pa.string(), "n": pa.int64()})


def table(directory: Path, rows: list[tuple[str, int]]) -> Path:
    """A table output of one shard."""
    with TableWriter(directory, SCHEMA) as writer:
        writer.write_rows([{"id": i, "n": n} for i, n in rows])
    return directory


ROWS = [("a", 1), ("b", 2), ("c", 3), ("c", 3)]


@pytest.mark.parametrize("cuts", [[4], [1, 3], [0, 4], [2, 1, 1]])
def test_a_table_in_shards_has_the_digest_of_the_whole(tmp_path: Path, cuts: list[int]) -> None:
    """Whatever the cuts, an empty shard included."""
    whole = combine([digest_output(table(tmp_path / "whole", ROWS[::-1]), "table")])
    parts, start = [], 0
    for number, count in enumerate(cuts):
        parts.append(digest_output(table(tmp_path / str(number), ROWS[start : start + count]), "table"))
        start += count
    assert combine(parts)["digest"] == whole["digest"]
    assert combine(parts)["rows"] == 4


def test_a_row_more_or_less_changes_the_digest(tmp_path: Path) -> None:
    """Also one that is there already."""
    digests = {
        combine([digest_output(table(tmp_path / str(n), ROWS[:n]), "table")])["digest"] for n in range(len(ROWS) + 1)
    }
    assert len(digests) == len(ROWS) + 1


def test_files_are_digested_by_name_and_bytes(tmp_path: Path) -> None:
    """A rename and a flipped bit both show."""
    for name, file, text in (("one", "a", "x"), ("two", "b", "x"), ("three", "a", "y")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    digests = [combine([digest_output(tmp_path / name, "files")])["digest"] for name in ("one", "two", "three")]
    assert len(set(digests)) == 3


def test_logs_have_no_digest(tmp_path: Path) -> None:
    """They are kept, not compared."""
    (tmp_path / "log.txt").write_text("took 3 s")
    for kind in ("log", "parts"):
        assert "digest" not in combine([digest_output(tmp_path, kind)])
