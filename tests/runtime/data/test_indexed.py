"""Megatron's .bin/.idx files, byte for byte."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from runtime.data.indexed import HEADER, IndexedReader, IndexedWriter, bin_path, idx_path

# Written by megatron-core 0.15.3 from `sequences()`, on 64-bit Linux with numpy 2.4:
#     builder = IndexedDatasetBuilder("x.bin", dtype=np.uint16)
#     for tokens in sequences(): builder.add_document(torch.tensor(tokens, dtype=torch.int32), [len(tokens)])
#     builder.finalize("x.idx")
MEGATRON_SHA256 = {
    "uint16": (
        "f773e3a2aedb90b3e58a0d217fc83a5be524adb59ac48bf0e0a832af0d5e66d8",
        "c355b42f279e1b27f8fa0172db5458d6bb387e7e877188fdaa18572f182736f3",
    ),
    "int32": (
        "f7ecbd83adb4088f5757e9246a8b3247161b2d6704ca7ec85f77e577005f022b",
        "b9e65bd9170087b0a7570b4f1c92147e3a42a1a5288057586865edb9f2b9e448",
    ),
}


def sequences() -> list[list[int]]:
    """Five sequences, one of them empty, of ids below 50,000."""
    return [[(7 * i * i + 31 * j) % 50_000 for j in range(n)] for i, n in enumerate([5, 1, 0, 300, 64])]


def write(prefix: Path, documents: list[list[int]], dtype: str = "uint16") -> Path:
    with IndexedWriter(prefix, dtype) as writer:
        for document in documents:
            writer.add(np.array(document, dtype=np.int64))
    return prefix


def test_two_short_sequences_give_the_bytes_of_the_format(tmp_path: Path) -> None:
    """The format spelled out by hand, little-endian, without any padding."""
    prefix = write(tmp_path / "two", [[1, 2, 3], [65_535]])
    assert bin_path(prefix).read_bytes() == bytes.fromhex("0100 0200 0300 ffff")
    expected = [
        b"MMIDIDX\x00\x00",
        bytes.fromhex("0100000000000000 08 0200000000000000 0300000000000000"),
        bytes.fromhex("03000000 01000000"),
        bytes.fromhex("0000000000000000 0600000000000000"),
        bytes.fromhex("0000000000000000 0100000000000000 0200000000000000"),
    ]
    assert idx_path(prefix).read_bytes() == b"".join(expected)


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_the_bytes_are_those_that_megatron_wrote(tmp_path: Path, dtype: str) -> None:
    """Recorded digests of megatron-core's own files; how they were made is written beside them."""
    prefix = write(tmp_path / "golden", sequences(), dtype)
    digests = tuple(hashlib.sha256(path(prefix).read_bytes()).hexdigest() for path in (bin_path, idx_path))
    assert digests == MEGATRON_SHA256[dtype]


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_megatron_writes_and_reads_the_same(tmp_path: Path, dtype: str) -> None:
    """Side by side with the real builder and the real reader, where megatron-core is installed."""
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is not here")
    torch = pytest.importorskip("torch")
    ours = write(tmp_path / "ours", sequences(), dtype)
    builder = indexed.IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.dtype(dtype).type)
    for tokens in sequences():
        builder.add_document(torch.tensor(tokens, dtype=torch.int32), [len(tokens)])
    builder.finalize(str(tmp_path / "theirs.idx"))
    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"ours{suffix}").read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()
    read = indexed.IndexedDataset(str(ours))
    assert [read[i].tolist() for i in range(len(read))] == sequences()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 65_535), max_size=20), max_size=20))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]]) -> None:
    """Sequences, lengths, documents and the flat view all come back, empty ones included."""
    reader = IndexedReader(write(tmp_path_factory.mktemp("indexed") / "a.b", documents))
    assert [reader[i].tolist() for i in range(len(reader))] == documents
    assert reader.lengths.tolist() == [len(document) for document in documents]
    assert reader.documents.tolist() == list(range(len(documents) + 1))
    assert reader.tokens.tolist() == [token for document in documents for token in document]
    assert reader.tokens.dtype == reader.dtype == np.uint16


def test_the_reader_maps_and_does_not_let_write(tmp_path: Path) -> None:
    """Tokens are a view of the file: larger than memory is fine, and nothing is changed by mistake."""
    prefix = write(tmp_path / "x", sequences(), "int32")
    reader = IndexedReader(prefix)
    with bin_path(prefix).open("r+b") as file:
        file.write(struct.pack("<i", 12_345))
    assert reader[0][0] == 12_345, "a change of the file is seen: nothing was copied"
    with pytest.raises(ValueError, match="read-only"):
        reader.tokens[0] = 1


def test_an_index_of_several_sequences_a_document_is_read(tmp_path: Path) -> None:
    """Megatron may put several sequences into a document; the reader shows where documents start."""
    prefix = write(tmp_path / "x", [[1, 2], [3], [4]])
    index = idx_path(prefix).read_bytes()
    count = struct.pack("<Q", 3)
    header = index[: HEADER.size - 8] + count
    idx_path(prefix).write_bytes(header + index[HEADER.size : -32] + np.array([0, 2, 3], "<i8").tobytes())
    reader = IndexedReader(prefix)
    assert reader.documents.tolist() == [0, 2, 3]
    assert reader[1].tolist() == [3]


def test_a_writer_that_failed_leaves_no_index(tmp_path: Path) -> None:
    """Half a data set must not read as a whole one."""
    with pytest.raises(RuntimeError), IndexedWriter(tmp_path / "x", "uint16") as writer:
        writer.add(np.arange(3, dtype=np.uint16))
        raise RuntimeError
    assert not idx_path(tmp_path / "x").exists()
    with pytest.raises(UserError, match="no such file"):
        IndexedReader(tmp_path / "x")


def test_closing_twice_writes_once(tmp_path: Path) -> None:
    """`close` inside the context manager is harmless."""
    with IndexedWriter(tmp_path / "x", np.int32) as writer:
        writer.add(np.array([7]))
        writer.close()
    assert IndexedReader(tmp_path / "x")[0].tolist() == [7]


@pytest.mark.parametrize("token", [-1, 65_536])
def test_ids_that_do_not_fit_are_refused(tmp_path: Path, token: int) -> None:
    """A vocabulary of more than 65,536 ids in uint16 would wrap around silently."""
    with (
        IndexedWriter(tmp_path / "x", "uint16") as writer,
        pytest.raises(UserError, match="do not fit uint16"),
    ):
        writer.add(np.array([5, token]))


def test_other_types_and_shapes_are_programming_errors(tmp_path: Path) -> None:
    """Token files hold uint16 or int32, one axis at a time."""
    with pytest.raises(ValueError, match="not as float32"):
        IndexedWriter(tmp_path / "x", "float32")
    with IndexedWriter(tmp_path / "x", "uint16") as writer, pytest.raises(ValueError, match="one axis"):
        writer.add(np.zeros((2, 2), dtype=np.uint16))


@pytest.mark.parametrize("path", [bin_path, idx_path])
@pytest.mark.parametrize("change", [-1, 1, None])
def test_a_file_cut_short_or_grown_is_refused(tmp_path: Path, path: object, change: int | None) -> None:
    """Missing, one byte less, one byte more: each is found before a token is read, with both sizes."""
    prefix = write(tmp_path / "x", sequences())
    assert callable(path)
    broken: Path = path(prefix)
    content = broken.read_bytes()
    if change is None:
        broken.unlink()
    else:
        broken.write_bytes(content[:change] if change < 0 else content + b"\0")
    with pytest.raises(UserError, match=f"{len(content)}|no such file") as raised:
        IndexedReader(prefix)
    assert raised.value.where == str(broken)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"X", "no Megatron index"),
        (9, b"\x02", "version 2"),
        (17, b"\x63", "type 99"),
        (HEADER.size, b"\x06", "pointers that do not follow"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    """One changed byte in the magic, the version, the type or a length."""
    prefix = write(tmp_path / "x", sequences())
    content = bytearray(idx_path(prefix).read_bytes())
    content[at : at + 1] = value
    idx_path(prefix).write_bytes(content)
    with pytest.raises(UserError, match=message):
        IndexedReader(prefix)


def test_an_index_shorter_than_its_header_is_refused(tmp_path: Path) -> None:
    """An empty index, as a full disk leaves it."""
    prefix = write(tmp_path / "x", sequences())
    idx_path(prefix).write_bytes(b"")
    with pytest.raises(UserError, match="0 bytes, fewer than the 34 of a header"):
        IndexedReader(prefix)
