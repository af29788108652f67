"""The probability that a model gives each token of a text: what bits per byte are made of.

Not an evaluation (that divides by bytes and compares) and not generation. The model is a function: a checkpoint's here,
that of a model in training in `validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from runtime.training.checkpoint import load_hf
from runtime.training.data import IGNORE
from runtime.training.device import choose_device, keep_freed_memory, reproducible

LogProbs = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Score = Callable[[Ints, Ints], LogProbs]
"""Ids [B, S] and labels [B, S] -> the natural log of each label's probability [B, S].

Rows are padded on the right; what is returned for a label `IGNORE` is of no account. B and S differ from call to call.
"""

BATCH_TOKENS = 4096

# Windows are sorted by length within a group of this many batches, so that little padding is computed.
_BATCHES_PER_GROUP = 8


@attrs.frozen
class Window:
    """Inputs `start:stop` of a text predict `start + 1 : stop + 1`; from `first + 1` on they are scored."""

    start: int
    first: int
    stop: int


def windows(length: int, context: int) -> list[Window]:
    """Windows of at most `context` inputs, such that each of `length` tokens but the first is scored once.

    A window starts half a context before the first token that it scores, so that every token but those of the
    first window sees at least `context // 2` tokens before it.

    >>> windows(6, 8)
    [Window(start=0, first=0, stop=5)]
    >>> windows(8, 4)
    [Window(start=0, first=0, stop=4), Window(start=2, first=4, stop=6), Window(start=4, first=6, stop=7)]
    """
    covered = min(context, length - 1)
    found = [Window(0, 0, covered)] if covered > 0 else []
    while 0 < covered < length - 1:
        start = covered - context // 2
        stop = min(start + context, length - 1)
        found.append(Window(start, covered, stop))
        covered = stop
    return found


def token_log_probs(
    checkpoint: Path, sequences: Iterable[npt.NDArray[Any]], threads: int, batch_tokens: int = BATCH_TOKENS
) -> Iterator[LogProbs]:
    """`text_log_probs` under the model of a checkpoint; `threads` may change the last bits."""
    device = choose_device("fp32")
    model = load_hf(checkpoint).to(device.torch).eval()
    keep_freed_memory()

    def score(ids: Ints, labels: Ints) -> LogProbs:
        with reproducible(threads):
            return label_log_probs(model, ids, labels, device.torch)

    yield from text_log_probs(score, sequences, model.shape.max_positions, batch_tokens)


def text_log_probs(
    score: Score, sequences: Iterable[npt.NDArray[Any]], context: int, batch_tokens: int = BATCH_TOKENS
) -> Iterator[LogProbs]:
    """For each sequence of n token ids, in order, the natural logs of its n - 1 next-token probabilities.

    The first token has no context and no entry; a sequence of fewer than two tokens gives an empty array.
    Texts longer than `context` are split as `windows` says. `batch_tokens` (padding included) bounds memory at about
    8 * batch_tokens * vocab_size bytes, and may change the last bits.
    """
    for group in _groups(sequences, batch_tokens * _BATCHES_PER_GROUP):
        yield from _score(score, group, context, batch_tokens)


def label_log_probs(model: torch.nn.Module, ids: Ints, labels: Ints, device: torch.device) -> LogProbs:
    """[B, S] log-probabilities of the labels under a model that gives logits [B, S, V]: a `Score` of plain torch."""
    with torch.no_grad():
        logits = model(torch.from_numpy(ids).to(device))
        wanted = torch.from_numpy(labels).to(device)
        losses = functional.cross_entropy(
            logits.float().flatten(0, 1), wanted.flatten(), ignore_index=IGNORE, reduction="none"
        )
    scores: LogProbs = losses.neg().double().view(wanted.shape).cpu().numpy()
    return scores


def _groups(sequences: Iterable[npt.NDArray[Any]], tokens: int) -> Iterator[list[npt.NDArray[Any]]]:
    """Consecutive sequences, closed as soon as they have `tokens` tokens together."""
    group: list[npt.NDArray[Any]] = []
    held = 0
    for sequence in sequences:
        group.append(sequence)
        held += len(sequence)
        if held >= tokens:
            yield group
            group, held = [], 0
    if group:
        yield group


def _score(score: Score, group: list[npt.NDArray[Any]], context: int, batch_tokens: int) -> list[LogProbs]:
    """All sequences of a group, windows of like length together."""
    results = [np.empty(max(0, len(sequence) - 1)) for sequence in group]
    todo = [(n, window) for n, text in enumerate(group) for window in windows(len(text), context)]
    todo.sort(key=lambda item: item[1].stop - item[1].start, reverse=True)
    while todo:
        longest = todo[0][1].stop - todo[0][1].start
        size = max(1, batch_tokens // longest)
        part, todo = todo[:size], todo[size:]
        ids, labels = np.zeros((len(part), longest), np.int64), np.full((len(part), longest), IGNORE)
        for row, (n, window) in enumerate(part):
            width = window.stop - window.start
            ids[row, :width] = group[n][window.start : window.stop]
            labels[row, :width] = group[n][window.start + 1 : window.stop + 1]
        scores = score(ids, labels)
        for row, (n, window) in enumerate(part):
            results[n][window.first : window.stop] = scores[
                row, window.first - window.start : window.stop - window.start
            ]
    return results
