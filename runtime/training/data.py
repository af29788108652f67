"""Reads the batches of a job: token files in Megatron's format, and a blend that says which sequence is when.

Not a sampler: the order was drawn when the blend was built, and batch `step` takes its rows of that order. So
the data is a pure function of the step, and a resumed run sees what the unbroken one saw.

A blend is a directory: `blend.json` names the datasets and the phases; `order-K.npy` of a phase is int64
[instances, 2], dataset index and position. The position is the offset of the first token (pretraining,
annealing) or the index of a sample (fine-tuning). A token directory holds `tokens.bin`, `tokens.idx` and, for
fine-tuning, `answer_start.npy`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import cattrs
import numpy as np
import numpy.typing as npt

from compiler.errors import UserError
from compiler.trainjob import TrainJob

IGNORE = -100  # the label that torch's cross-entropy leaves out

_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")
_DTYPES: dict[int, type[np.generic]] = {4: np.int32, 8: np.uint16}

Ints = npt.NDArray[np.int64]


@attrs.frozen
class TokenFile:
    """A memory-mapped Megatron dataset: all tokens in one row, and where each sequence lies."""

    directory: Path
    ids: npt.NDArray[Any]
    lengths: npt.NDArray[np.int32]
    starts: Ints


@attrs.frozen
class BlendPhase:
    """`instances` sequences of `sequence_length` tokens in the order of the file `order`."""

    sequence_length: int
    instances: int
    order: str


@attrs.frozen
class BlendDataset:
    """A dataset of the blend; datasets are numbered in the order of the list."""

    name: str


@attrs.frozen
class BlendIndex:
    """blend.json."""

    format_version: Literal[1]
    datasets: list[BlendDataset]
    phases: list[BlendPhase]


@attrs.frozen(eq=False)
class Batch:
    """`ids` and `labels` [global_batch, sequence_length] of a step; labels are `IGNORE` where no loss is.

    `sources` [global_batch] is the number of the data set that each sequence is from, `names` their names.
    """

    ids: Ints
    labels: Ints
    sources: Ints
    names: tuple[str, ...]

    @property
    def loss_tokens(self) -> int:
        """Positions that the loss counts."""
        return int(np.count_nonzero(self.labels != IGNORE))

    def part(self, number: int, parts: int) -> Batch:
        """The `number`-th of `parts` equal runs of sequences."""
        size = len(self.ids) // parts
        rows = slice(number * size, (number + 1) * size)
        return attrs.evolve(self, ids=self.ids[rows], labels=self.labels[rows], sources=self.sources[rows])

    def tokens_by_source(self) -> dict[str, int]:
        """Positions that the loss counts, by data set; those without any are left out."""
        counted = np.count_nonzero(self.labels != IGNORE, 1)
        totals = np.bincount(self.sources, counted, len(self.names)).astype(int)
        return {name: int(total) for name, total in zip(self.names, totals, strict=True) if total}


def open_tokens(directory: Path) -> TokenFile:
    """Map `tokens.bin` as `tokens.idx` describes it; UserError if they are missing, foreign or cut short."""
    index, binary = directory / "tokens.idx", directory / "tokens.bin"
    for file in (index, binary):
        if not file.is_file():
            raise UserError("no such token file", where=str(file), fix="build the tokens again")
    dtype, sequences, documents = _read_header(index)
    expected = _HEADER.size + 12 * sequences + 8 * documents
    if index.stat().st_size != expected:
        raise _cut_short(index, expected)
    lengths = _map(index, np.int32, _HEADER.size, sequences)
    pointers = _map(index, np.int64, _HEADER.size + 4 * sequences, sequences)
    itemsize = np.dtype(dtype).itemsize
    total = int(lengths.sum(dtype=np.int64))
    if binary.stat().st_size != total * itemsize:
        raise _cut_short(binary, total * itemsize)
    return TokenFile(directory, _map(binary, dtype, 0, total), lengths, pointers // itemsize)


def _read_header(index: Path) -> tuple[type[np.generic], int, int]:
    """The token dtype, the number of sequences, and of document borders."""
    with index.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        raise UserError("not a Megatron index", where=str(index), fix="build the tokens again")
    _, version, code, sequences, documents = _HEADER.unpack(head)
    if version != 1 or code not in _DTYPES:
        raise UserError(
            f"index version {version}, dtype code {code}; read here: version 1 with 8 (uint16) or 4 (int32)",
            where=str(index),
        )
    return _DTYPES[code], sequences, documents


def _map(path: Path, dtype: type[np.generic], offset: int, count: int) -> npt.NDArray[Any]:
    """`count` numbers of the file from byte `offset`; an empty map is not possible, an empty array is."""
    if count == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r", offset, (count,))


def _cut_short(path: Path, expected: int) -> UserError:
    found = path.stat().st_size
    return UserError(f"{found} bytes where the index says {expected}", where=str(path), fix="build the tokens again")


class Batches:
    """The batches of a job by step number. Use `open_batches`, which checks before anything trains."""

    def __init__(self, job: TrainJob, files: Sequence[TokenFile], orders: Sequence[Ints], names: Sequence[str]) -> None:
        self._job = job
        self.names = tuple(names)
        self._files = files
        self._orders = orders
        self._answers = [_open_answers(file) for file in files] if job.kind == "finetune" else []

    def __getitem__(self, step: int) -> Batch:
        """The batch of optimizer step `step` (0-based); UserError on a token id outside the vocabulary."""
        phase, within = self._locate(step)
        spec = self._job.batches[phase]
        rows = self._orders[phase][within * spec.global_batch : (within + 1) * spec.global_batch]
        make = self._samples if self._job.kind == "finetune" else self._windows
        batch = Batch(*make(rows, spec.sequence_length), np.asarray(rows[:, 0]), self.names)
        largest, vocabulary = int(batch.ids.max()), self._job.model.vocab_size
        if largest >= vocabulary or batch.ids.min() < 0:
            raise UserError(
                f"step {step + 1}: token {largest} of a model with {vocabulary} tokens",
                fix="train with the tokenizer that made these tokens",
            )
        return batch

    def _locate(self, step: int) -> tuple[int, int]:
        """The phase that `step` falls in, and its number within it."""
        for number, phase in enumerate(self._job.batches):
            if step < phase.steps:
                return number, step
            step -= phase.steps
        raise IndexError(step)

    def _windows(self, rows: Ints, length: int) -> tuple[Ints, Ints]:
        """Ids and labels of sequences cut from the token row: the next token is the label everywhere."""
        ids = np.stack([self._files[file].ids[start : start + length + 1] for file, start in rows])
        ids = ids.astype(np.int64)
        return ids[:, :-1], ids[:, 1:]

    def _samples(self, rows: Ints, length: int) -> tuple[Ints, Ints]:
        """Ids and labels of one sample a row, cut or right-padded to `length`; nothing attends to the padding."""
        ids = np.zeros((len(rows), length), np.int64)
        labels = np.full((len(rows), length), IGNORE, np.int64)
        for number, (dataset, sample) in enumerate(rows):
            file = self._files[dataset]
            start = file.starts[sample]
            text = file.ids[start : start + min(file.lengths[sample], length + 1)].astype(np.int64)
            ids[number, : len(text) - 1] = text[:-1]
            counted = self._first_counted(dataset, sample)
            labels[number, counted - 1 : len(text) - 1] = text[counted:]
        return ids, labels

    def _first_counted(self, dataset: int, sample: int) -> int:
        """The first token of a sample whose prediction enters the loss; token 0 is never predicted."""
        return max(1, int(self._answers[dataset][sample])) if self._job.loss_on == "answer" else 1

    def loss_tokens(self) -> int:
        """Predicted tokens over the whole job; UserError where a batch has none to learn from."""
        if self._job.kind != "finetune":
            return self._job.tokens
        total = 0
        for phase, order in zip(self._job.batches, self._orders, strict=True):
            counts = self._sample_counts(order, phase.sequence_length).reshape(phase.steps, phase.global_batch).sum(1)
            if not counts.all():
                raise UserError(
                    f"batch {int(counts.argmin())} of stage {self._job.stage} has no token to learn from: "
                    f"every answer in it starts after token {phase.sequence_length}",
                    fix="use longer sequences, or drop samples whose question fills them",
                )
            total += int(counts.sum())
        return total

    def _sample_counts(self, order: Ints, length: int) -> Ints:
        """Predicted tokens of each row's sample."""
        counts = np.zeros(len(order), np.int64)
        for dataset, file in enumerate(self._files):
            rows = order[:, 0] == dataset
            samples = order[rows, 1]
            first = np.maximum(1, self._answers[dataset][samples]) if self._job.loss_on == "answer" else 1
            counts[rows] = np.maximum(0, np.minimum(file.lengths[samples], length + 1) - first)
        return counts


def _open_answers(file: TokenFile) -> npt.NDArray[np.int32]:
    path = file.directory / "answer_start.npy"
    if not path.is_file():
        raise UserError("fine-tuning needs the start of each answer", where=str(path), fix="build the samples again")
    answers: npt.NDArray[np.int32] = np.load(path, mmap_mode="r")
    if answers.shape != file.lengths.shape:
        raise UserError(f"{answers.size} answers for {file.lengths.size} samples", where=str(path))
    return answers


def open_batches(job: TrainJob, tokens: Sequence[Path], blend: Path) -> Batches:
    """Open a blend over token directories, in the order of its datasets; check each row that the job reads.

    Raises UserError, with the numbers, where the blend and the job disagree, a token file is cut short, or a
    row points outside its dataset.
    """
    index = _read_index(blend)
    if len(tokens) != len(index.datasets):
        raise UserError(
            f"{len(tokens)} token directories for the {len(index.datasets)} datasets of the blend",
            where=str(blend),
        )
    if len(index.phases) != len(job.batches):
        raise UserError(f"the blend has {len(index.phases)} phases, the job {len(job.batches)}", where=str(blend))
    files = [open_tokens(directory) for directory in tokens]
    orders = [_open_order(job, number, index.phases[number], files, blend) for number in range(len(job.batches))]
    return Batches(job, files, orders, [dataset.name for dataset in index.datasets])


def _read_index(blend: Path) -> BlendIndex:
    path = blend / "blend.json"
    try:
        return cattrs.structure(json.loads(path.read_text()), BlendIndex)
    except FileNotFoundError:
        raise UserError("no such blend", where=str(path), fix="build the blend again") from None
    except (json.JSONDecodeError, cattrs.BaseValidationError) as error:
        problem = str(error) if isinstance(error, ValueError) else "; ".join(cattrs.transform_error(error))
        raise UserError(f"not a blend of format 1: {problem}", where=str(path), fix="build the blend again") from error


def _open_order(job: TrainJob, number: int, phase: BlendPhase, files: Sequence[TokenFile], blend: Path) -> Ints:
    """The rows of phase `number` that the job uses, checked."""
    batches, path = job.batches[number], blend / phase.order
    if phase.sequence_length != batches.sequence_length:
        raise UserError(
            f"sequences of {phase.sequence_length} tokens, the job wants {batches.sequence_length}",
            where=str(path),
        )
    try:
        order: Ints = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"unreadable order: {error}", where=str(path), fix="build the blend again") from error
    needed = batches.steps * batches.global_batch
    if order.dtype != np.int64 or order.shape != (phase.instances, 2) or len(order) < needed:
        raise UserError(
            f"{order.dtype} {order.shape}, the blend says ({phase.instances}, 2), the job reads {needed}",
            where=str(path),
        )
    _check_rows(order[:needed], files, batches.sequence_length, by_sample=job.kind == "finetune", path=path)
    return order[:needed]


def _check_rows(order: Ints, files: Sequence[TokenFile], length: int, *, by_sample: bool, path: Path) -> None:
    """UserError on the first row whose dataset or position does not exist."""
    datasets, positions = order[:, 0], order[:, 1]
    limits = np.array([file.lengths.size if by_sample else file.ids.size - length for file in files])
    known = (datasets >= 0) & (datasets < len(files))
    bad = ~known | (positions < 0) | (positions >= limits[np.where(known, datasets, 0)])
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        dataset, position = int(datasets[row]), int(positions[row])
        sizes = [file.lengths.size if by_sample else file.ids.size for file in files]
        unit = "samples" if by_sample else f"tokens, read in sequences of {length} and a label"
        raise UserError(
            f"row {row} asks for position {position} of dataset {dataset}; the datasets have {sizes} {unit}",
            where=str(path),
            fix="build the blend again from these tokens",
        )
