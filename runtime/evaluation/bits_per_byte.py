"""Bits per byte: the loss of a language model on whole documents, comparable between tokenizers.

Not the model: log-probabilities come from `runtime.training` or from `runtime.evaluation.ngram`. The bits of
a document are -log2 p of its tokens and of the end-of-text token after them, given an end-of-text token
before them; its bytes are those of its UTF-8, without the end. Bits per byte of a set is the sum of bits over
the sum of bytes, so long documents weigh more than short ones.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from compiler.errors import UserError

NO_LANGUAGE = "(none)"


class DocumentBits(NamedTuple):
    """One scored document: its bits, its UTF-8 bytes and its language, if known."""

    bits: float
    num_bytes: int
    language: str | None = None


class BitsTotal(TypedDict):
    """Sums over some documents; `bits_per_byte` is None where they hold no byte."""

    documents: int
    bytes: int
    bits: float
    bits_per_byte: float | None


class BitsTable(TypedDict):
    """Totals over all documents and per language, languages sorted; plain data for JSON."""

    total: BitsTotal
    languages: dict[str, BitsTotal]


def document_bits(log_probs: npt.ArrayLike, lengths: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Bits of each document from natural log-probabilities of tokens.

    `log_probs` holds the scored tokens of all documents end to end, end-of-text included, shape (sum of
    lengths,); `lengths` holds how many each document has, at least 1, shape (documents,). Raises ValueError
    where they differ.

    >>> document_bits(np.log([0.5, 0.25, 0.125]), [2, 1]).tolist()
    [3.0, 3.0]
    """
    tokens = np.asarray(log_probs, dtype=np.float64)
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
    if (np.asarray(lengths) < 1).any():
        raise ValueError("every document has at least one scored token, its end")
    if (int(ends[-1]) if len(ends) else 0) != len(tokens):
        raise ValueError(f"{len(tokens)} tokens, but the lengths sum to {ends[-1] if len(ends) else 0}")
    starts = np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1]])
    sums = np.add.reduceat(tokens, starts) if len(ends) else tokens
    return np.asarray(-sums / math.log(2) + 0.0)  # + 0.0 turns the -0.0 of a certain document into 0.0


def bits_table(documents: Iterable[DocumentBits]) -> BitsTable:
    """Bits per byte of all documents and of each language; exact sums, so their order does not matter.

    Documents without a language are counted under "(none)". Raises UserError where a document's bits are
    negative or not finite: its model diverged, or it was scored in a precision too low for it.

    >>> table = bits_table([DocumentBits(8.0, 4, "c"), DocumentBits(2.0, 1, "go"), DocumentBits(6.0, 3, "go")])
    >>> table["total"]["bits_per_byte"], table["languages"]["go"]
    (2.0, {'documents': 2, 'bytes': 4, 'bits': 8.0, 'bits_per_byte': 2.0})
    """
    by_language: defaultdict[str, list[DocumentBits]] = defaultdict(list)
    for number, document in enumerate(documents):
        if not (math.isfinite(document.bits) and document.bits >= 0):
            raise UserError(
                f"document {number} of {document.num_bytes} bytes has {document.bits} bits",
                where="bits per byte",
                fix="look at the losses of the checkpoint, or score it in fp32",
            )
        by_language[document.language or NO_LANGUAGE].append(document)
    everything = [document for group in by_language.values() for document in group]
    return {
        "total": _total(everything),
        "languages": {language: _total(by_language[language]) for language in sorted(by_language)},
    }


def _total(documents: list[DocumentBits]) -> BitsTotal:
    num_bytes = sum(document.num_bytes for document in documents)
    bits = math.fsum(document.bits for document in documents)
    per_byte = bits / num_bytes if num_bytes else None
    return {"documents": len(documents), "bytes": num_bytes, "bits": bits, "bits_per_byte": per_byte}
