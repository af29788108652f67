"""Columns of text as bytes: where each text lies in memory, and its SHA-256. Nothing is copied or decoded."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compiler.errors import UserError


def text_buffers(texts: pa.Array[Any]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """View the bytes of a text array, and say where each text starts and stops in them: [2, n].

    A null stops where it starts.
    """
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    if not (wide or pa.types.is_string(texts.type) or pa.types.is_binary(texts.type)):
        raise UserError(
            f"a column of type {texts.type} holds no text", fix="map a string or binary column to `content`"
        )
    _, offsets_buffer, data_buffer = texts.buffers()
    data = np.frombuffer(memoryview(data_buffer or b""), dtype=np.uint8)
    if len(texts) == 0:
        return data, np.zeros((2, 0), dtype=np.int64)
    offsets = np.frombuffer(memoryview(offsets_buffer or b""), dtype=np.int64 if wide else np.int32)
    offsets = offsets[texts.offset : texts.offset + len(texts) + 1]
    bounds = np.stack([offsets[:-1], offsets[1:]]).astype(np.int64)
    if texts.null_count:
        valid = texts.is_valid().to_numpy(zero_copy_only=False)
        bounds[1] = np.where(valid, bounds[1], bounds[0])
    return data, bounds


def digests_of(texts: pa.Array[Any]) -> list[bytes]:
    """SHA-256 of each text; that of a null is that of nothing.

    >>> digests_of(pa.array(["a", None]))[1] == hashlib.sha256(b"").digest()
    True
    """
    data, bounds = text_buffers(texts)
    return [hashlib.sha256(data.data[start:stop]).digest() for start, stop in bounds.T.tolist()]
