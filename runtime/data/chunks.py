r"""Documents cut into chunks: runs of whole lines with at most so many words each, by a compiled kernel.

It signs nothing and drops nothing: `operators.sign` hashes chunks, `operators.verdicts` finds equal and similar ones.

The definition, exactly (the tests hold a plain Python twin of it):

* A word is a token of `minhash`: a maximal run of ``A-Z a-z 0-9 _`` and bytes >= 0x80.
* A chunk that is full is closed where the next word starts. It is then cut after the last ``\n`` that follows one of
  its words; what stands behind that line end opens the next chunk. A chunk with no such line end is cut right before
  the next word: only so is a line of more words than a chunk divided.
* The first chunk starts at byte 0, the last one stops at the last byte: chunks tile the document, and what separates
  two words stays with the former. A document without words is one chunk. No character of UTF-8 is divided.

Any chunk and the next one together hold more words than one may, so a document of n words has at most
``2 * n / (most_words + 1) + 1`` chunks.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compiler.errors import UserError
from runtime.data.minhash import IS_WORD, compiled
from runtime.data.texts import text_buffers

_Bytes = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True, eq=False)
class Chunks:
    """The m chunks of n documents: their text (large_binary, a view of the documents'), and where each stands.

    `document` is the row of the document, `number` counts its chunks from 0, `start` and `stop` are byte offsets in
    the document; all are int64 [m], by document and number.
    """

    texts: pa.Array[Any]
    document: _I64
    number: _I64
    start: _I64
    stop: _I64


@compiled
def _cut(data: _Bytes, bounds: _I64, most_words: int, starts: _I64, counts: _I64) -> int:
    """Write where each chunk of the texts data[bounds[0, i]:bounds[1, i]] starts; return how many chunks there are."""
    found = 0
    for document in range(bounds.shape[1]):
        first = found
        starts[found] = bounds[0, document]
        found += 1
        words, line_end, line_words, inside = 0, 0, 0, False
        for position in range(bounds[0, document], bounds[1, document]):
            is_word = IS_WORD[data[position]]
            if is_word and not inside:
                if words == most_words:
                    starts[found] = line_end if line_words > 0 else position
                    words -= line_words if line_words > 0 else words
                    found += 1
                    line_words = 0
                words += 1
            elif data[position] == 10:
                line_end, line_words = position + 1, words
            inside = is_word
        counts[document] = found - first
    return found


def cut(texts: pa.Array[Any], most_words: int) -> Chunks:
    r"""Cut an Arrow array of n texts (large_string or large_binary, no nulls, slices included), copying no text.

    Raises UserError for `most_words` below 1 and for nulls.

    >>> chunks = cut(pa.array(["a b\nc d\ne", "-"], pa.large_string()), most_words=3)
    >>> chunks.texts.to_pylist(), chunks.document.tolist(), chunks.start.tolist()
    ([b'a b\n', b'c d\ne', b'-'], [0, 0, 1], [0, 4, 0])
    """
    if most_words < 1:
        raise UserError(f"chunks of at most {most_words} words", fix="set chunk_tokens to 1 or more")
    if texts.null_count:
        raise UserError(f"{texts.null_count} of {len(texts)} texts to cut are null", fix="drop them first")
    data, bounds = text_buffers(texts)
    sizes = bounds[1] - bounds[0]
    starts = np.empty(int((sizes // (most_words + 1) + 2).sum()) + 1, dtype=np.int64)
    counts = np.zeros(len(texts), dtype=np.int64)
    total = _cut(data, bounds, most_words, starts, counts)
    offsets = starts[: total + 1]  # texts follow one another in their buffer, so a chunk stops where the next starts
    offsets[total] = bounds[1, -1] if len(texts) else 0
    document = np.repeat(np.arange(len(texts)), counts)
    origin = bounds[0][document]
    first = np.cumsum(counts) - counts
    return Chunks(
        texts=pa.Array.from_buffers(
            pa.large_binary(), total, [None, pa.py_buffer(offsets.tobytes()), texts.buffers()[2] or pa.py_buffer(b"")]
        ),
        document=document,
        number=np.arange(total) - first[document],
        start=offsets[:-1] - origin,
        stop=offsets[1:] - origin,
    )
