"""fastText: trained and asked so that the same examples give the same bytes and scores.

Two things stand in the way of that in fastText itself, and are put right here. Several threads write to one
matrix without locks, so training takes one. And a single thread fills only the first tenth of the matrix with
random numbers and leaves the rest as the allocator gave it (`DenseMatrix::uniform` makes one block of ten for
each thread): in a process that has freed memory before, training ended in NaN. While it trains, the allocator
is told to hand out zeros.

Scoring is a sum in a fixed order: it depends on the model and the words alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.errors import UserError
from compiler.ir import FastText

MODEL_FILE = "model.bin"
CODE, OTHER = "code", "other"
DIGITS = 6

_LABEL = "__label__"
_M_PERTURB = -6  # malloc.h
_FILL_WITH_ZERO = 255  # memory is filled with the complement of this byte


def train(examples: Iterable[tuple[str, str]], settings: FastText, out: Path, scratch: Path) -> dict[str, int]:
    """Train on pairs of label (`CODE` or `OTHER`) and words, in their order; returns how many there were of each.

    The examples are written to `scratch`, the model to `out/model.bin`. Memory is that of the model, (words +
    buckets) x dim x 4 bytes. Raises UserError where a label has no example, where training diverges, and where
    the C library cannot fill memory.
    """
    import fasttext

    lines = scratch / "examples.txt"
    counts = {CODE: 0, OTHER: 0}
    with lines.open("w", encoding="ascii") as stream:
        for label, words in examples:
            counts[label] += 1
            stream.write(f"{_LABEL}{label} {words}\n")
    for label, count in counts.items():
        if not count:
            raise _no_examples(label)
    with _zeroed_memory():
        model = _fit(fasttext, lines, settings)
    model.save_model(str(out / MODEL_FILE))
    lines.unlink()
    return counts


def _fit(fasttext: Any, lines: Path, settings: FastText) -> Any:
    try:
        return fasttext.train_supervised(
            str(lines),
            dim=settings.dim,
            epoch=settings.epochs,
            lr=settings.learning_rate,
            wordNgrams=settings.word_ngrams,
            minCount=settings.min_count,
            bucket=settings.buckets,
            loss="softmax",
            thread=1,
            seed=0,
            verbose=0,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"fastText cannot be trained: {str(error).rstrip('.')}",
            where="classifier",
            fix="lower learning_rate if it says NaN, and min_count if it says that the vocabulary is empty",
        ) from error


def _no_examples(label: str) -> UserError:
    if label == CODE:
        return UserError(
            "no seed page is left to train on",
            where="seed",
            fix="give seed pages of code (label true), or lower held_out_share",
        )
    return UserError(
        "no page is left as a negative: the sample of the crawl lies in the seed",
        where="pages",
        fix="raise sample_pages, or give seed pages with label false",
    )


@contextmanager
def _zeroed_memory() -> Iterator[None]:
    """Inside, memory from the C library's allocator is zero. Large blocks come from the system, zero anyway."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not mallopt(_M_PERTURB, _FILL_WITH_ZERO):
        raise UserError("fastText cannot be trained reproducibly here: the C library is not glibc", fix="use Linux")
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)


class Classifier:
    """A trained model."""

    def __init__(self, directory: Path) -> None:
        import fasttext

        self._model: Any = fasttext.load_model(str(directory / MODEL_FILE))

    def scores(self, words: Sequence[str]) -> npt.NDArray[np.float64]:
        """For each text, given as its words, the probability of `CODE`, rounded to `DIGITS` decimals."""
        if not words:
            return np.empty(0, dtype=np.float64)
        labels, found = self._model.predict(list(words), k=2)
        wanted = f"{_LABEL}{CODE}"
        raw = [row[names.index(wanted)] for names, row in zip(labels, found, strict=True)]
        # fastText adds 1e-5 inside its logarithm, so a sure answer comes as 1.00001.
        return np.array(raw, dtype=np.float64).clip(max=1.0).round(DIGITS)
