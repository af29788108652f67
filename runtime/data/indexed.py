r"""Megatron's .bin/.idx token files: a streaming writer and a memory-mapped reader, with numpy alone.

Not a data loader: it knows nothing of mixtures, sequence lengths or shuffling. The bytes are those that
`megatron.core.datasets.indexed_dataset.IndexedDatasetBuilder` writes for one sequence per document (tested
against megatron-core 0.15.3), so Megatron, NeMo and AutoModel read these files as their own.

`PREFIX.bin` holds the tokens of all sequences end to end. `PREFIX.idx` holds, little-endian:

    9 bytes  "MMIDIDX\0\0"          uint64  version, 1             uint8   code of the token type
    uint64   number of sequences   uint64  number of documents + 1
    int32    length of each sequence, in tokens
    int64    where each sequence starts in the .bin, in bytes
    int64    first sequence of each document, then the number of sequences
"""

from __future__ import annotations

import os
import struct
from array import array
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from compiler.errors import UserError

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
TYPE_CODES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<i1"),
    3: np.dtype("<i2"),
    4: np.dtype("<i4"),
    5: np.dtype("<i8"),
    6: np.dtype("<f8"),
    7: np.dtype("<f4"),
    8: np.dtype("<u2"),
}
TOKEN_TYPES = {TYPE_CODES[8]: 8, TYPE_CODES[4]: 4}
MAX_LENGTH = 2**31 - 1


def bin_path(prefix: Path) -> Path:
    """`PREFIX.bin`; a prefix may hold dots.

    >>> bin_path(Path("data/python.v1")).name
    'python.v1.bin'
    """
    return prefix.with_name(prefix.name + ".bin")


def idx_path(prefix: Path) -> Path:
    """`PREFIX.idx`."""
    return prefix.with_name(prefix.name + ".idx")


class IndexedWriter:
    """Writes sequences one by one; 4 bytes of memory per sequence while open, 24 more to close.

    The index is written by `close` alone, so a writer that died leaves no file that reads as whole. As a
    context manager it closes on success and leaves the index out on an exception.
    """

    def __init__(self, prefix: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype).newbyteorder("<")
        if self.dtype not in TOKEN_TYPES:
            raise ValueError(f"tokens are written as uint16 or int32, not as {self.dtype}")
        self.prefix = prefix
        self._lengths = array("i")
        self._bin: IO[bytes] = bin_path(prefix).open("wb")

    def add(self, tokens: npt.NDArray[Any]) -> None:
        """Append one document of one sequence; UserError where an id does not fit the token type."""
        narrow = np.ascontiguousarray(tokens, dtype=self.dtype)
        if narrow.ndim != 1 or narrow.size > MAX_LENGTH:
            raise ValueError(f"a sequence is one axis of at most {MAX_LENGTH} tokens, not {tokens.shape}")
        if tokens.dtype != self.dtype and not np.array_equal(narrow, tokens):
            raise UserError(
                f"token ids from {tokens.min()} to {tokens.max()} do not fit {self.dtype.name}",
                where=str(bin_path(self.prefix)),
                fix="write int32",
            )
        self._bin.write(narrow.data)
        self._lengths.append(narrow.size)

    def close(self) -> None:
        """Write the index and flush both files to disk. A second call does nothing."""
        if self._bin.closed:
            return
        _sync(self._bin)
        self._bin.close()
        lengths = np.frombuffer(self._lengths, dtype=np.int32)
        starts, end = _byte_starts(lengths, self.dtype.itemsize)
        assert bin_path(self.prefix).stat().st_size == end
        with idx_path(self.prefix).open("wb") as index:
            index.write(HEADER.pack(MAGIC, VERSION, TOKEN_TYPES[self.dtype], len(lengths), len(lengths) + 1))
            index.write(lengths.astype("<i4", copy=False).data)
            index.write(starts.astype("<i8", copy=False).data)
            index.write(np.arange(len(lengths) + 1, dtype="<i8").data)
            _sync(index)

    def __enter__(self) -> IndexedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._bin.close()


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _byte_starts(lengths: npt.NDArray[np.int32], itemsize: int) -> tuple[npt.NDArray[np.int64], int]:
    """Byte offset of each sequence, and of the end of the last."""
    ends = np.cumsum(lengths, dtype=np.int64) * itemsize
    starts = np.zeros(len(lengths), dtype=np.int64)
    starts[1:] = ends[:-1]
    return starts, int(ends[-1]) if len(ends) else 0


class IndexedReader:
    """The sequences of `PREFIX.bin`/`.idx`, memory-mapped; reads what megatron-core writes, too.

    `lengths` (int32) is in tokens, `starts` (int64) is where each sequence starts in `tokens`, `documents`
    (int64) is the index's array of first sequences, `tokens` is the flat view of the .bin, read-only.

    Raises UserError where a file is missing, is of another kind, or is longer or shorter than its index says.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        index = _map(idx_path(prefix), np.dtype(np.uint8))
        self.dtype, sequences, documents = self._header(index[: HEADER.size].tobytes())
        expected = HEADER.size + 12 * sequences + 8 * documents
        if len(index) != expected:
            raise _broken(idx_path(prefix), f"has {len(index)} bytes where its header promises {expected}")
        lengths_end = HEADER.size + 4 * sequences
        starts_end = lengths_end + 8 * sequences
        # Copies, because the 34 bytes of the header leave the mapped arrays unaligned.
        self.lengths: npt.NDArray[np.int32] = index[HEADER.size : lengths_end].view("<i4").copy()
        self.documents: npt.NDArray[np.int64] = index[starts_end:].view("<i8").copy()
        starts, end = _byte_starts(self.lengths, self.dtype.itemsize)
        if not np.array_equal(starts, index[lengths_end:starts_end].view("<i8")):
            raise _broken(idx_path(prefix), "has pointers that do not follow from its lengths")
        self.starts: npt.NDArray[np.int64] = starts // self.dtype.itemsize
        size = bin_path(prefix).stat().st_size if bin_path(prefix).exists() else 0
        if size != end:
            raise _broken(bin_path(prefix), f"has {size} bytes where its index promises {end}")
        self.tokens: npt.NDArray[Any] = _map(bin_path(prefix), self.dtype)

    def _header(self, raw: bytes) -> tuple[np.dtype[Any], int, int]:
        path = idx_path(self.prefix)
        if len(raw) < HEADER.size:
            raise _broken(path, f"has {len(raw)} bytes, fewer than the {HEADER.size} of a header")
        magic, version, code, sequences, documents = HEADER.unpack(raw)
        if magic != MAGIC or version != VERSION or code not in TYPE_CODES:
            raise _broken(path, f"starts with {magic!r}, version {version}, type {code}: no Megatron index")
        return TYPE_CODES[code], sequences, documents

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, sequence: int) -> npt.NDArray[Any]:
        """Tokens of one sequence, a view of the mapped file."""
        start = int(self.starts[sequence])
        return self.tokens[start : start + int(self.lengths[sequence])]


def _map(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if not path.exists():
        raise UserError("no such file", where=str(path), fix="build the token files again")
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _broken(path: Path, what: str) -> UserError:
    return UserError(what, where=str(path), fix="build the token files again")
