"""The writer's promises (bounded, atomic, same bytes) and the digest's (of rows, of nothing else)."""

from __future__ import annotations

import hashlib
import math
import struct
import subprocess
import sys
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from runtime.data import tables
from runtime.data.tables import DOCUMENT_SCHEMA, DROPPED_SCHEMA, RowDigest, TableWriter, merge, row_digest

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("raw", pa.binary()),
        ("count", pa.int64()),
        ("share", pa.float64()),
        ("flag", pa.bool_()),
        ("words", pa.list_(pa.string())),
        ("nested", pa.list_(pa.list_(pa.int32()))),
    ]
)
INT64 = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.none() | st.text(max_size=4),
            "raw": st.none() | st.binary(max_size=4),
            "count": st.none() | INT64,
            "share": st.none() | st.floats(allow_nan=False),
            "flag": st.none() | st.booleans(),
            "words": st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
            "nested": st.none() | st.lists(st.none() | st.lists(st.integers(-9, 9), max_size=2), max_size=2),
        }
    ),
    max_size=12,
)


def table(rows, schema=SCHEMA):
    return pa.Table.from_pylist(rows, schema=schema)


def digest_of(**columns):
    return row_digest(pa.table(columns))


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, data=st.data())
def test_order_batches_columns_and_files_do_not_count(rows, data, tmp_path_factory):
    """Any permutation of rows and columns, any split into batches and any row groups: one digest."""
    expected = row_digest(table(rows))
    shuffled = data.draw(st.permutations(rows))
    names = data.draw(st.permutations(SCHEMA.names))
    size = data.draw(st.integers(1, 5))
    other = table(shuffled).select(names)
    assert row_digest(other.to_batches(max_chunksize=size)) == expected
    cut = data.draw(st.integers(0, len(rows)))
    assert merge([row_digest(other.slice(0, cut)), row_digest(other.slice(cut))]) == expected
    folder = tmp_path_factory.mktemp("digest")
    pq.write_table(other.slice(0, cut), folder / "a.parquet", row_group_size=size)
    pq.write_table(other.slice(cut), folder / "b.parquet", compression="zstd")
    assert tables.digest_files(sorted(folder.iterdir())) == expected


@settings(max_examples=60, deadline=None)
@given(rows=ROWS.filter(bool), data=st.data())
def test_every_change_of_a_row_counts(rows, data):
    """A row added, repeated, removed, or changed in one cell gives another digest."""
    expected = row_digest(table(rows))
    row = data.draw(st.sampled_from(range(len(rows))))
    assert row_digest(table([*rows, rows[row]])) != expected
    assert row_digest(table(rows[:row] + rows[row + 1 :])) != expected
    name = data.draw(st.sampled_from(["name", "count", "words", "nested"]))
    other = {"name": "other", "count": 77, "words": ["o", "ther"], "nested": [[77], None]}[name]
    changed = [*rows[:row], {**rows[row], name: other}, *rows[row + 1 :]]
    assert (row_digest(table(changed)) == expected) is (rows[row][name] == other)


PAIRS = st.tuples(*[st.text("ab\0", max_size=3) | st.none()] * 2)


@settings(max_examples=80, deadline=None)
@given(one=PAIRS, two=PAIRS)
def test_the_encoding_is_injective(one, two):
    """Two rows have one digest only if they are the same row: no text can stand for the border of a cell."""
    schema = pa.schema([("x", pa.string()), ("y", pa.string())])
    rows = [table([{"x": x, "y": y}], schema) for x, y in (one, two)]
    assert (row_digest(rows[0]) == row_digest(rows[1])) is (one == two)


def plain_cell(value):
    """Tag, 8 bytes and payload of one value, by the rules alone."""
    if value is None:
        return b"n" + bytes(8), b""
    if isinstance(value, bool):
        return b"b" + struct.pack("<q", value), b""
    if isinstance(value, int):
        return b"i" + struct.pack("<q", value), b""
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value), b""
    if isinstance(value, list):
        tag, payload = b"l", b"".join(b"".join(plain_cell(element)) for element in value)
    else:
        tag, payload = (b"s", value.encode()) if isinstance(value, str) else (b"y", value)
    return tag + struct.pack("<q", len(payload)), payload


def plain_digest(rows):
    names = sorted(SCHEMA.names)
    prefix = hashlib.sha256(b"".join(struct.pack("<q", len(n)) + n.encode() for n in names)).digest()
    total = 0
    for row in rows:
        cells = [plain_cell(row[name]) for name in names]
        encoded = prefix + b"".join(head for head, _ in cells) + b"".join(payload for _, payload in cells)
        total += int.from_bytes(hashlib.sha256(encoded).digest(), "big")
    return RowDigest(total % 2**256, len(rows))


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_the_digest_is_the_one_written_down_plainly(rows):
    """The encoding by columns equals one by rows and cells, written without Arrow."""
    assert row_digest(table(rows)) == plain_digest(rows)


def test_text_does_not_move_between_cells():
    """("a", "bc") and ("ab", "c") differ, as do ["ab"] and ["a", "b"], and [["a"], []] and [[], ["a"]]."""
    assert digest_of(x=["a"], y=["bc"]) != digest_of(x=["ab"], y=["c"])
    assert digest_of(x=[["ab"]]) != digest_of(x=[["a", "b"]])
    assert digest_of(x=[[["a"], []]]) != digest_of(x=[[[], ["a"]]])


def test_null_is_a_value_of_its_own():
    """Null differs from "", 0, False and the empty list, and an element null from no element."""
    kinds = {pa.string(): "", pa.int64(): 0, pa.bool_(): False, pa.float64(): 0.0, pa.list_(pa.int8()): []}
    for kind, empty in kinds.items():
        assert digest_of(x=pa.array([None], kind)) != digest_of(x=pa.array([empty], kind))
    assert digest_of(x=pa.array([[None]], pa.list_(pa.int8()))) != digest_of(x=pa.array([[]], pa.list_(pa.int8())))


def test_widths_do_not_count_but_types_do():
    """int32 is int64, string is large_string, a dictionary is its values; but 1, 1.0, "1" and b"1" differ."""
    assert digest_of(x=pa.array([1, -1], pa.int8())) == digest_of(x=pa.array([1, -1], pa.int64()))
    assert digest_of(x=pa.array([7], pa.uint64())) == digest_of(x=pa.array([7], pa.int32()))
    assert digest_of(x=pa.array([0.5], pa.float32())) == digest_of(x=pa.array([0.5]))
    assert digest_of(x=pa.array(["é"], pa.large_string())) == digest_of(x=pa.array(["é"]))
    assert digest_of(x=pa.array(["a", None, "a"]).dictionary_encode()) == digest_of(x=["a", None, "a"])
    assert digest_of(x=pa.array([[1, 2]], pa.list_(pa.int8(), 2))) == digest_of(x=[[1, 2]])
    assert len({digest_of(x=[value]) for value in (1, 1.0, "1", b"1", True, [1])}) == 6


def test_great_unsigned_numbers_are_not_negative_ones():
    """2**64 - 1 and -1 have the same 64 bits."""
    great = pa.array([2**64 - 1], pa.uint64())
    assert digest_of(x=great) != digest_of(x=pa.array([-1], pa.int64()))


def test_names_of_columns_count():
    """The same cells under another name are other rows, and another table."""
    assert digest_of(x=[1], y=[2]) != digest_of(x=[2], y=[1])
    assert digest_of(x=[1]) != digest_of(z=[1])
    assert tables.digest_hex(5, 1, ["a", "b"]) != tables.digest_hex(5, 1, ["ab"])
    assert len({tables.digest_hex(*part, ["a"]) for part in ((5, 1), (5, 2), (6, 1))}) == 3


def test_known_digest():
    """The digest is part of what is stored: if this fails, every stored artefact has another one."""
    digest = digest_of(a=["x", None], b=[1, 2], c=[[0.5], []])
    assert tables.digest_hex(*digest, ["a", "b", "c"]).startswith("4c8520d134d10587")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([1.0, math.nan]), "1 NaN in 2 rows"),
        (pa.array([[math.nan]]), "NaN"),
        (pa.array([{"a": 1}]), "struct<a: int64>"),
        (pa.array([0], pa.timestamp("s")), "timestamp"),
    ],
)
def test_values_without_a_digest_are_refused_by_name(column, said):
    """NaN and types without an encoding name the column."""
    with pytest.raises(UserError, match="'x'") as error:
        digest_of(x=column)
    assert said in str(error.value)


def test_two_columns_of_one_name_are_refused():
    """There is no order by name among them."""
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(UserError, match="same name"):
        row_digest(twice)


def test_infinity_and_signed_zero_have_digests():
    """Only NaN is refused; 0.0 and -0.0 are different bytes."""
    assert len({digest_of(x=[value]) for value in (math.inf, -math.inf, 0.0, -0.0)}) == 4


def test_no_rows():
    """An empty table has the neutral digest."""
    assert row_digest(table([])) == merge([]) == RowDigest(0, 0)


# ---------------------------------------------------------------- the writer


def documents(count, size=100):
    return pa.RecordBatch.from_pylist(
        [{"doc_id": f"d{i}", "source": "s", "content": f"{i:06d}" * (size // 6)} for i in range(count)],
        schema=DOCUMENT_SCHEMA,
    )


def test_an_empty_table_is_one_file_with_the_schema(tmp_path):
    """A reader finds the columns even where there is no row."""
    with TableWriter(tmp_path / "new" / "dropped", DROPPED_SCHEMA):
        pass
    (path,) = (tmp_path / "new" / "dropped").iterdir()
    assert path.name == "part-00000.parquet"
    assert pq.read_schema(path).equals(DROPPED_SCHEMA)
    assert pq.read_metadata(path).num_rows == 0


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=8), rows=st.sampled_from([7, 100, 4_000_000]))
def test_bytes_of_files_do_not_depend_on_batches(cuts, rows, tmp_path_factory):
    """However the rows arrive, the files are the same bytes."""
    batch, folder = documents(300), tmp_path_factory.mktemp("writer")
    with TableWriter(folder / "whole", DOCUMENT_SCHEMA, max_rows=rows) as writer:
        writer.write(batch)
    edges = [0, *sorted(cuts), 300]
    with TableWriter(folder / "split", DOCUMENT_SCHEMA, max_rows=rows) as split:
        for start, end in pairwise(edges):
            split.write(batch.slice(start, end - start))
    assert split.rows == writer.rows == 300
    assert [path.read_bytes() for path in split.files] == [path.read_bytes() for path in writer.files]


def test_files_are_cut_by_rows_and_by_bytes(tmp_path):
    """No file holds more than max_rows rows, nor more than max_bytes and one row."""
    with TableWriter(tmp_path / "rows", DOCUMENT_SCHEMA, "shard", max_rows=40) as writer:
        writer.write(documents(100))
    assert [pq.read_metadata(path).num_rows for path in writer.files] == [40, 40, 20]
    assert [path.name for path in writer.files] == [f"shard-{i:05d}.parquet" for i in range(3)]
    with TableWriter(tmp_path / "bytes", DOCUMENT_SCHEMA, max_bytes=10_000) as writer:
        writer.write(documents(300, 1200))
    assert all(pq.read_metadata(path).num_rows == 9 for path in writer.files[:-1])
    assert row_digest(pq.read_table(tmp_path / "bytes")) == row_digest([documents(300, 1200)])


def test_row_groups_bound_memory(tmp_path, monkeypatch):
    """A row group closes at its limit of bytes, so what waits in memory does not grow with the table."""
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 50_000)
    with TableWriter(tmp_path, DOCUMENT_SCHEMA) as writer:
        for start in range(0, 300, 10):
            writer.write(documents(300, 1200).slice(start, 10))
            assert writer._pending_bytes < 50_000
    metadata = pq.read_metadata(writer.files[0])
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)][:-1] == [41] * 7


def test_nothing_is_left_of_a_failed_table(tmp_path):
    """Files appear together at the end, or not at all."""
    writer = TableWriter(tmp_path, DOCUMENT_SCHEMA, max_rows=10)
    with pytest.raises(RuntimeError, match="lost power"), writer:
        writer.write(documents(35))
        assert len(list(tmp_path.iterdir())) == 3
        assert not list(tmp_path.glob("part*"))
        raise RuntimeError("lost power")
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_is_noticed(tmp_path):
    """Pages carry checksums, and the digest of a file checks them."""
    with TableWriter(tmp_path, DOCUMENT_SCHEMA) as writer:
        writer.write(documents(300, 1200))
    data = bytearray(writer.files[0].read_bytes())
    chunk = pq.read_metadata(writer.files[0]).row_group(0).column(DOCUMENT_SCHEMA.get_field_index("content"))
    data[chunk.data_page_offset + chunk.total_compressed_size - 5] ^= 1
    writer.files[0].write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        tables.digest_files(writer.files)


def test_a_column_that_does_not_fit_is_refused(tmp_path):
    """A cast that would lose something raises, and leaves nothing."""
    writer = TableWriter(tmp_path, pa.schema([("n", pa.int32())]))
    with pytest.raises(pa.ArrowInvalid), writer:
        writer.write(pa.table({"n": [2**40]}))
    assert list(tmp_path.iterdir()) == []


def test_columns_are_picked_by_name_and_cast(tmp_path):
    """The order and the width of columns on the way in do not matter."""
    with TableWriter(tmp_path, pa.schema([("a", pa.large_string()), ("b", pa.int64())])) as writer:
        writer.write(pa.table({"more": [None], "b": pa.array([1], pa.int8()), "a": ["x"]}))
        writer.write_rows([{"a": "y"}])
        writer.write_rows([])
    assert pq.read_table(tmp_path).to_pylist() == [{"a": "x", "b": 1}, {"a": "y", "b": None}]


def test_an_abandoned_table_says_nothing(tmp_path):
    """A writer that was left open would complain on standard error once it is collected."""
    code = f"""
import pyarrow as pa
from runtime.data.tables import ROW_GROUP_ROWS, TableWriter
with TableWriter({str(tmp_path)!r}, pa.schema([("x", pa.int64())])) as writer:
    writer.write(pa.table({{"x": range(ROW_GROUP_ROWS + 1)}}))
    raise SystemExit(3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert list(tmp_path.iterdir()) == []
