"""Bits per byte of held-out text while a stage trains: `metrics/validation.jsonl`, the same in every run of the job.

Not the evaluation after a stage, though it divides and sums by the same code: under equal weights both give equal
numbers for equal documents, but for the rounding of a back end that scores in its own precision. Not a stopping rule
either: nothing follows from what is measured.

The text comes from the data environment as token files: each sequence is a document as it is scored, end-of-text before
and after it, and `languages.json` has its language and its UTF-8 bytes. What comes after step n is measured before step
n + 1, so that a state that must be saved in haste is not kept waiting.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime.evaluation.bits_per_byte import DocumentBits, bits_table, document_bits
from runtime.training.data import TokenFile, open_tokens
from runtime.training.ranks import Ranks
from runtime.training.score import Score, text_log_probs
from runtime.training.steplog import StepLog, whole_lines

FILE = "validation.jsonl"


@attrs.frozen(eq=False)
class HeldOut:
    """Held-out documents as they are scored: the tokens of each, its language, and its UTF-8 bytes."""

    tokens: TokenFile
    languages: tuple[str | None, ...]
    num_bytes: tuple[int, ...]

    def sequences(self) -> Iterator[npt.NDArray[Any]]:
        """The token ids of one document after the other."""
        for start, length in zip(self.tokens.starts, self.tokens.lengths, strict=True):
            yield np.asarray(self.tokens.ids[start : start + length], np.int64)


def open_held_out(job: TrainJob, directory: Path) -> HeldOut:
    """The documents in the directory `held_out` of an artefact; UserError where its files do not belong to the job."""
    tokens, path = open_tokens(directory), directory / "languages.json"
    try:
        table = json.loads(path.read_text())
        held_out = HeldOut(tokens, tuple(table["languages"]), tuple(table["bytes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"unreadable: {error}", where=str(path), fix="build the held-out text again") from error
    counts = {len(tokens.lengths), len(held_out.languages), len(held_out.num_bytes)}
    if len(counts) > 1:
        raise UserError(f"{sorted(counts)} documents in its files", where=str(directory), fix="build it again")
    largest = int(tokens.ids.max(initial=0))
    if largest >= job.model.vocab_size:
        raise UserError(
            f"held-out token {largest} of a model with {job.model.vocab_size} tokens",
            where=str(directory),
            fix="train with the tokenizer that made these tokens",
        )
    return held_out


@attrs.define(eq=False)
class Validation:
    """Scores the text of `held_out` by `score`, the model in training, every `job.validate_every` steps and at the end.

    Every rank calls every method, for a model may lie on several of them; rank 0 keeps the log.
    """

    job: TrainJob
    held_out: HeldOut
    score: Score
    ranks: Ranks = attrs.field(factory=Ranks.one)
    _done: int = attrs.field(default=0, init=False)
    _log: StepLog | None = attrs.field(default=None, init=False)

    @contextmanager
    def open(self, resume: Path, first: int) -> Iterator[None]:
        """Go on with the log after `first` steps; UserError where lines are missing that were there once.

        The line of step `first` itself may be there or not: the state is saved before it is measured.
        """
        path, there = resume / FILE, 0
        if self.ranks.leads:
            there = max(self.due(first - 1), min(self.due(first), whole_lines(path)))
        self._done = self.ranks.agree(there)
        if not self.ranks.leads:
            yield
            return
        with StepLog(path, there) as self._log:
            yield

    def due(self, done: int) -> int:
        """How many measurements `done` steps call for."""
        every, steps = self.job.validate_every, self.job.steps
        return done // every + (done == steps and steps % every > 0) if done > 0 else 0

    def owes(self, done: int) -> bool:
        """Whether the model as it is after `done` steps is to be measured still. The same on every rank."""
        return self.due(done) > self._done

    def line(self, done: int) -> dict[str, Any]:
        """Measure the model as it is after `done` steps: the line of the log, which is written where there is one."""
        table = bits_table(self._documents())
        line = {
            "step": done,
            "documents": table["total"]["documents"],
            "bytes": table["total"]["bytes"],
            "bits_per_byte": table["total"]["bits_per_byte"],
            "languages": {language: total["bits_per_byte"] for language, total in table["languages"].items()},
        }
        self._done += 1
        if self._log:
            self._log.append(line)
        return line

    def sync(self) -> None:
        """Put the log on the disk."""
        if self._log:
            self._log.sync()

    def _documents(self) -> Iterator[DocumentBits]:
        scored = text_log_probs(self.score, self.held_out.sequences(), self.job.model.max_positions)
        about = zip(scored, self.held_out.num_bytes, self.held_out.languages, strict=True)
        for log_probs, num_bytes, language in about:
            yield DocumentBits(float(document_bits(log_probs, [len(log_probs)])[0]), num_bytes, language)
