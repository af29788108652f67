"""Weighted draws to an exact budget: which sequences a training stage sees, and in which order.

Not a data loader: it returns positions and reads no tokens. It knows a data set by its name and its size
only.

The unit of a draw is a window of the longest sequence length L of the stage. A data set of n tokens has (n -
1) // L windows; window k takes its inputs from tokens kL .. kL + L - 1 and its targets from one further on,
so inputs never overlap. In every epoch a data set's windows are permuted anew; its *stream* is epoch after
epoch of them. A phase of sequence length s, which must divide L, cuts each window into L / s parts in order,
takes the next parts of each data set's stream, and shuffles what it took from all of them. A phase begins
where the one before stopped, rounded up to a multiple of its own s in the stream, so that no token is drawn
twice within an epoch; the fewer than s tokens skipped are not drawn in that epoch.

A permutation sorts positions by raw words of Philox, keyed by SHA-256 of (seed, data set, epoch): numpy
guarantees the words of a bit generator across versions, which it does not for `Generator.permutation`, and
the result does not depend on the order in which data sets are listed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from compiler.errors import UserError, UserErrors

Order = npt.NDArray[np.int64]


class Supply(NamedTuple):
    """A tokenized data set: its size in tokens, its weight in the mixture, how often it may be repeated."""

    name: str
    num_tokens: int
    weight: Fraction
    max_epochs: Fraction | float = Fraction(1)


class Phase(NamedTuple):
    """`instances` sequences of `sequence_length` tokens."""

    instances: int
    sequence_length: int


class Samples(NamedTuple):
    """A fine-tuning data set: its number of samples, and its weight (None: as many as it has)."""

    name: str
    num_samples: int
    weight: Fraction | None = None


class Take(NamedTuple):
    """What one phase takes of one data set: `instances` sequences from number `first` of its stream on.

    `epochs` is how far into the stream the data set is when the phase ends.
    """

    dataset: int
    first: int
    instances: int
    epochs: Fraction


def apportion(total: int, weights: Mapping[str, Fraction]) -> dict[str, int]:
    """Split `total` by weight into whole numbers that sum to it exactly, by the largest remainder (Hamilton).

    Weights need not sum to 1. Equal remainders go to the name that sorts first. Raises UserError where there
    is nothing to split by: no weights, a negative one, or all zero.

    >>> apportion(10, {"web": Fraction(1, 3), "code": Fraction(2, 3)})
    {'web': 3, 'code': 7}
    """
    weight_sum = sum(weights.values(), Fraction(0))
    negative = sorted(name for name, weight in weights.items() if weight < 0)
    if negative or weight_sum == 0:
        what = f"negative weights: {', '.join(negative)}" if negative else f"{len(weights)} weights sum to 0"
        raise UserError(what, where="mixture", fix="give at least one positive weight and no negative one")
    quotas = {name: total * Fraction(weight) / weight_sum for name, weight in weights.items()}
    parts = {name: math.floor(quota) for name, quota in quotas.items()}
    by_remainder = sorted(weights, key=lambda name: (parts[name] - quotas[name], name))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def plan_draw(phases: Sequence[Phase], datasets: Sequence[Supply]) -> list[list[Take]]:
    """What every phase takes of every data set, without drawing: one list per phase, in the order of names.

    Raises UserErrors that name every data set asked for more than its `max_epochs`, and UserError where a
    sequence length does not divide the longest or two data sets share a name.
    """
    unit = _unit(phases)
    _check_names([dataset.name for dataset in datasets])
    weights = {dataset.name: dataset.weight for dataset in datasets}
    shares = [apportion(phase.instances, weights) for phase in phases]
    plan: list[list[Take]] = [[] for _ in phases]
    problems: list[UserError] = []
    for index, dataset in sorted(enumerate(datasets), key=lambda pair: pair[1].name):
        windows = max(0, dataset.num_tokens - 1) // unit
        position = 0  # in tokens of the stream
        for takes, phase, share in zip(plan, phases, shares, strict=True):
            if count := share[dataset.name]:
                first = -(-position // phase.sequence_length)
                position = (first + count) * phase.sequence_length
                epochs = Fraction(position, windows * unit) if windows else Fraction(0)
                takes.append(Take(index, first, count, epochs))
        if position > _limit(dataset.max_epochs, windows * unit):
            problems.append(_over_budget(dataset, shares, position, windows, unit))
    if problems:
        raise UserErrors(problems)
    return plan


def draw(phases: Sequence[Phase], datasets: Sequence[Supply], seed: int) -> Order:
    """The sequences of a stage in the order of training: int64 of shape (sum of instances, 2).

    Column 0 is the index of the data set in `datasets`, column 1 the offset in its tokens of the first token
    of the sequence, which has `sequence_length` + 1 tokens from there. Phases follow one another. Errors as
    `plan_draw`.

    >>> draw([Phase(4, 8)], [Supply("a", 33, Fraction(1)), Supply("b", 9, Fraction(0))], seed=1).tolist()
    [[0, 8], [0, 24], [0, 16], [0, 0]]
    """
    unit = _unit(phases)
    parts = []
    for number, (phase, takes) in enumerate(zip(phases, plan_draw(phases, datasets), strict=True)):
        cuts = unit // phase.sequence_length
        rows = [np.empty((0, 2), dtype=np.int64)]
        for take in takes:
            dataset = datasets[take.dataset]
            windows = (dataset.num_tokens - 1) // unit
            places = _stream((seed, dataset.name), windows, cuts, first=take.first, count=take.instances)
            rows.append(_rows(take.dataset, places * phase.sequence_length))
        together = np.concatenate(rows)
        parts.append(together[_permutation(len(together), seed, "phase", number)])
    return np.concatenate(parts)


def draw_samples(samples: Sequence[Samples], epochs: int, global_batch: int, seed: int) -> Order:
    """The fine-tuning samples of `epochs` epochs in the order of training: int64 of shape (N, 2).

    Column 0 is the index of the data set in `samples`, column 1 the number of the sample in it. An epoch has
    as many samples as there are in all. Without weights it is a permutation of them. With weights, which are
    then needed for every data set, it is apportioned by weight, and each data set goes on through its own
    permutations where the epoch before stopped. The total is cut to full batches. Raises UserError where it
    is less than one.
    """
    _check_names([part.name for part in samples])
    counts = _samples_per_epoch(samples)
    total = epochs * sum(counts.values())
    if total < global_batch:
        raise UserError(
            f"{epochs} epochs make {total} samples, less than one batch of {global_batch}",
            where="fine-tuning",
            fix=f"lower the batch to at most {total} or add samples",
        )
    parts = []
    for epoch in range(epochs):
        rows = []
        for index, part in sorted(enumerate(samples), key=lambda pair: pair[1].name):
            count = counts[part.name]
            drawn = _stream((seed, part.name), part.num_samples, 1, first=epoch * count, count=count)
            rows.append(_rows(index, drawn))
        together = np.concatenate(rows)
        parts.append(together[_permutation(len(together), seed, "epoch", epoch)])
    return np.concatenate(parts)[: total // global_batch * global_batch]


def _samples_per_epoch(samples: Sequence[Samples]) -> dict[str, int]:
    weights = {part.name: part.weight for part in samples if part.weight is not None}
    if not weights:
        return {part.name: part.num_samples for part in samples}
    if len(weights) < len(samples):
        without = [part.name for part in samples if part.weight is None]
        raise UserError(
            f"{len(weights)} of {len(samples)} data sets have a weight; {', '.join(without)} have none",
            where="fine-tuning",
            fix="give a weight to all or to none",
        )
    counts = apportion(sum(part.num_samples for part in samples), weights)
    empty = [part.name for part in samples if counts[part.name] and not part.num_samples]
    if empty:
        raise UserError(f"no samples to draw from in {', '.join(empty)}", where="fine-tuning")
    return counts


def _unit(phases: Sequence[Phase]) -> int:
    unit = max(phase.sequence_length for phase in phases)
    odd = sorted({phase.sequence_length for phase in phases if unit % phase.sequence_length})
    if odd:
        raise UserError(
            f"sequence lengths {odd} do not divide the longest of the stage, {unit}",
            where="phases",
            fix="choose lengths that divide the longest, such as powers of two",
        )
    return unit


def _check_names(names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"data sets share a name: {', '.join(repeated)}", where="mixture", fix="name each once")


def _limit(max_epochs: Fraction | float, tokens: int) -> float:
    """Tokens that `max_epochs` allow; a float means what it prints, so 1.1 is 11/10. Infinity is no limit."""
    if max_epochs == math.inf:
        return math.inf if tokens else 0
    return math.floor(Fraction(str(max_epochs)) * tokens)


def _over_budget(
    dataset: Supply, shares: Sequence[Mapping[str, int]], position: int, windows: int, unit: int
) -> UserError:
    asked = sum(share[dataset.name] for share in shares)
    epochs = f"{position / (windows * unit):.4g}" if windows else "infinitely many"
    return UserError(
        f"{asked} sequences are asked of {windows} windows of {unit} tokens ({dataset.num_tokens} tokens): "
        f"{epochs} epochs, more than the {float(dataset.max_epochs):.4g} allowed",
        where=f"data set {dataset.name}",
        fix="lower the budget or the data set's weight, raise its epochs or add data",
    )


def _stream(key: tuple[int, str], windows: int, cuts: int, *, first: int, count: int) -> npt.NDArray[np.int64]:
    """Parts first .. first + count - 1 of a data set's stream, as numbers of parts in the data set.

    `key` is the seed and the data set's name; each of its `windows` is cut into `cuts` parts.
    """
    pieces = [np.empty(0, dtype=np.int64)]
    for epoch, start, stop in _epochs(first, count, windows * cuts):
        order = _permutation(windows, *key, "data set", epoch)
        parts = np.arange(start, stop)
        pieces.append(order[parts // cuts] * cuts + parts % cuts)
    return np.concatenate(pieces)


def _epochs(first: int, count: int, per_epoch: int) -> Iterator[tuple[int, int, int]]:
    """Epoch, first and one past the last part in it, for each epoch that the span touches.

    >>> list(_epochs(3, 6, 4))
    [(0, 3, 4), (1, 0, 4), (2, 0, 1)]
    """
    end = first + count
    while first < end:
        epoch, start = divmod(first, per_epoch)
        stop = min(per_epoch, start + end - first)
        yield epoch, start, stop
        first += stop - start


def _rows(dataset: int, places: npt.NDArray[np.int64]) -> Order:
    return np.column_stack([np.full(len(places), dataset, dtype=np.int64), places])


def _permutation(size: int, seed: int, *key: str | int) -> npt.NDArray[np.int64]:
    """A permutation of 0 .. size - 1 that is a function of its arguments alone."""
    digest = hashlib.sha256(repr((int(seed), *key)).encode()).digest()
    words = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(size)
    return np.argsort(words, kind="stable")
