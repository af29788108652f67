"""Batches from token files and blends."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.trainjob import BatchPhase
from runtime.training.data import IGNORE, open_batches, open_tokens


@pytest.fixture
def finetune_job(tiny_job):
    """One batch of two samples of at most six tokens, loss on the answers."""
    return attrs.evolve(
        tiny_job,
        kind="finetune",
        loss_on="answer",
        batches=(BatchPhase(steps=1, global_batch=2, sequence_length=6),),
    )


@pytest.fixture
def samples(tmp_path, write_tokens):
    """Write samples and where their answers start."""

    def write(sequences, answers):
        directory = write_tokens(tmp_path / "samples", sequences)
        np.save(directory / "answer_start.npy", np.array(answers, np.int32))
        return directory

    return write


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_both_token_types_are_read(tmp_path, write_tokens, dtype):
    """uint16 and int32, as the header's code says."""
    tokens = open_tokens(write_tokens(tmp_path / "t", [[1, 2, 3], [40_000, 5]], dtype))
    assert tokens.ids.tolist() == [1, 2, 3, 40_000, 5]
    assert (tokens.lengths.tolist(), tokens.starts.tolist()) == ([3, 2], [0, 3])


def test_batches_take_their_rows_of_the_order(tmp_path, tiny_job, write_tokens, write_blend):
    """Step s takes rows s * global_batch and on, of its own phase; labels are the next tokens."""
    tokens = [write_tokens(tmp_path / "a", [range(30)]), write_tokens(tmp_path / "b", [range(30, 60)])]
    job = attrs.evolve(
        tiny_job,
        batches=(
            BatchPhase(steps=2, global_batch=2, sequence_length=3),
            BatchPhase(steps=1, global_batch=1, sequence_length=5),
        ),
    )
    orders = [[(0, 0), (1, 4), (1, 0), (0, 26)], [(1, 24)]]
    batches = open_batches(job, tokens, write_blend(tmp_path / "blend", orders, [3, 5], datasets=2))
    assert batches[0].ids.tolist() == [[0, 1, 2], [34, 35, 36]]
    assert batches[0].labels.tolist() == [[1, 2, 3], [35, 36, 37]]
    assert batches[1].ids.tolist() == [[30, 31, 32], [26, 27, 28]]
    assert (
        batches[2].ids.tolist(),
        batches[2].labels.tolist(),
    ) == ([[54, 55, 56, 57, 58]], [[55, 56, 57, 58, 59]])
    assert batches.loss_tokens() == job.tokens == 2 * 2 * 3 + 5
    with pytest.raises(IndexError):
        batches[3]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_the_data_order_is_a_function_of_the_step(tmp_path_factory, write_tokens, write_blend, tiny_job, data):
    """Batches asked for in any order are those asked for in turn."""
    root = tmp_path_factory.mktemp("order")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    tokens = [write_tokens(root / "t", [rng.integers(0, 64, 100)])]
    orders = [np.stack((np.zeros(20, int), rng.integers(0, 80, 20)), 1) for _ in range(2)]
    blend = write_blend(root / "b", orders, [8, 16])
    in_turn = [open_batches(tiny_job, tokens, blend)[step].ids for step in range(tiny_job.steps)]
    batches = open_batches(tiny_job, tokens, blend)
    for step in data.draw(st.permutations(range(tiny_job.steps))):
        assert np.array_equal(in_turn[step], batches[step].ids)


def test_only_answers_are_learnt(tmp_path, finetune_job, samples, write_blend):
    """Position t predicts token t + 1 and counts where that is in the answer; padding never counts."""
    directory = samples([[1, 2, 3, 4, 5], [10, 11, 12, 13, 14, 15, 16, 17, 18]], [3, 2])
    batches = open_batches(finetune_job, [directory], write_blend(tmp_path / "b", [[(0, 0), (0, 1)]], [6]))
    x = IGNORE
    assert batches[0].ids.tolist() == [[1, 2, 3, 4, 0, 0], [10, 11, 12, 13, 14, 15]]
    assert [[x, x, 4, 5, x, x], [x, 12, 13, 14, 15, 16]] == batches[0].labels.tolist()
    assert batches.loss_tokens() == batches[0].loss_tokens == 7


def test_fine_tuning_on_everything_still_ignores_padding(tmp_path, finetune_job, samples, write_blend):
    """loss_on="all" counts the question too."""
    job = attrs.evolve(finetune_job, loss_on="all")
    directory = samples([[1, 2, 3], [4, 5, 6, 7]], [2, 0])
    batches = open_batches(job, [directory], write_blend(tmp_path / "b", [[(0, 1), (0, 0)]], [6]))
    assert [[label for label in row if label != IGNORE] for row in batches[0].labels.tolist()] == [
        [5, 6, 7],
        [2, 3],
    ]
    assert batches.loss_tokens() == 5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=2, max_size=2))
def test_counted_loss_tokens_are_those_of_the_batches(tmp_path_factory, tiny_job, write_tokens, write_blend, pairs):
    """The count made before training equals the labels made while training, or the job is refused."""
    root = tmp_path_factory.mktemp("count")
    directory = write_tokens(root / "t", [range(1, n + 1) for n, _ in pairs])
    np.save(directory / "answer_start.npy", np.array([start for _, start in pairs], np.int32))
    job = attrs.evolve(
        tiny_job,
        kind="finetune",
        loss_on="answer",
        batches=(BatchPhase(steps=1, global_batch=2, sequence_length=6),),
    )
    batches = open_batches(job, [directory], write_blend(root / "b", [[(0, 0), (0, 1)]], [6]))
    if batches[0].loss_tokens:
        assert batches.loss_tokens() == batches[0].loss_tokens
    else:
        with pytest.raises(UserError, match="no token to learn from"):
            batches.loss_tokens()


def test_a_batch_without_answers_is_refused_before_training(tmp_path, finetune_job, samples, write_blend):
    """Its mean loss would be 0 / 0."""
    directory = samples([range(1, 10), range(1, 9)], [7, 7])
    batches = open_batches(finetune_job, [directory], write_blend(tmp_path / "b", [[(0, 0), (0, 1)]], [6]))
    with pytest.raises(UserError, match="batch 0 of stage pretrain has no token to learn from"):
        batches.loss_tokens()


@pytest.mark.parametrize(("file", "size"), [("tokens.bin", 58), ("tokens.idx", 50)])
def test_files_cut_short_are_found(tmp_path, write_tokens, file, size):
    """Both sizes are in the message."""
    directory = write_tokens(tmp_path / "t", [range(30)])
    whole = (directory / file).stat().st_size
    with (directory / file).open("r+b") as handle:
        handle.truncate(size)
    with pytest.raises(UserError, match=f"{size} bytes where the index says {whole}"):
        open_tokens(directory)


def test_foreign_and_missing_files_are_named(tmp_path, write_tokens):
    """Not a Megatron index; an unknown dtype; no file."""
    directory = write_tokens(tmp_path / "t", [range(30)])
    index = directory / "tokens.idx"
    good = index.read_bytes()
    index.write_bytes(b"PAR1" + good[4:])
    with pytest.raises(UserError, match="not a Megatron index"):
        open_tokens(directory)
    index.write_bytes(good[:17] + b"\x05" + good[18:])
    with pytest.raises(UserError, match="dtype code 5"):
        open_tokens(directory)
    index.unlink()
    with pytest.raises(UserError, match="no such token file"):
        open_tokens(directory)


@pytest.mark.parametrize("row", [(0, 22), (0, -1), (1, 0), (-1, 0)])
def test_rows_out_of_range_are_found_before_training(tmp_path, tiny_job, write_tokens, write_blend, row):
    """30 tokens hold windows of 8 and a label at 0..21."""
    job = attrs.evolve(tiny_job, batches=(BatchPhase(steps=1, global_batch=2, sequence_length=8),))
    tokens = [write_tokens(tmp_path / "t", [range(30)])]
    open_batches(job, tokens, write_blend(tmp_path / "good", [[(0, 0), (0, 21)]], [8]))
    with pytest.raises(UserError, match=rf"row 1 asks for position {row[1]} of dataset {row[0]};.*\[30\] tokens"):
        open_batches(job, tokens, write_blend(tmp_path / "bad", [[(0, 0), row]], [8]))


def test_samples_out_of_range_are_found(tmp_path, finetune_job, samples, write_blend):
    """The position of a fine-tuning row is a sample's number."""
    directory = samples([[1, 2], [3, 4]], [1, 1])
    with pytest.raises(UserError, match="row 0 asks for position 2 of dataset 0"):
        open_batches(finetune_job, [directory], write_blend(tmp_path / "b", [[(0, 2), (0, 1)]], [6]))


def test_a_token_outside_the_vocabulary_is_a_clear_error(tmp_path, tiny_job, write_tokens, write_blend):
    """And not an index error of the embedding."""
    job = attrs.evolve(tiny_job, batches=(BatchPhase(steps=1, global_batch=1, sequence_length=2),))
    tokens = [write_tokens(tmp_path / "t", [[1, 64, 3]])]
    batches = open_batches(job, tokens, write_blend(tmp_path / "b", [[(0, 0)]], [2]))
    with pytest.raises(UserError, match="token 64 of a model with 64 tokens"):
        batches[0]


def test_a_blend_that_does_not_fit_the_job_is_refused(tmp_path, tiny_job, write_tokens, write_blend):
    """Too few rows, another length, another number of phases or datasets, or no blend at all."""
    tokens = [write_tokens(tmp_path / "t", [range(60)])]
    row = [(0, 0)]
    cases = {
        "reads 20": write_blend(tmp_path / "rows", [row * 19, row * 6], [8, 16]),
        "sequences of 4 tokens, the job wants 8": write_blend(tmp_path / "length", [row * 20, row * 6], [4, 16]),
        "has 1 phases, the job 2": write_blend(tmp_path / "phases", [row * 20], [8]),
        "1 token directories for the 2 datasets": write_blend(tmp_path / "sets", [row], [8], datasets=2),
        "no such blend": tmp_path / "nothing",
    }
    for message, blend in cases.items():
        with pytest.raises(UserError, match=message):
            open_batches(tiny_job, tokens, blend)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format_version": 2, "datasets": [], "phases": []}', '{"format_version": 1}']
)
def test_a_file_that_is_not_a_blend_is_refused(tmp_path, tiny_job, text):
    """Malformed, of another version, or with fields missing."""
    (tmp_path / "blend.json").write_text(text)
    with pytest.raises(UserError, match="not a blend of format 1"):
        open_batches(tiny_job, [], tmp_path)
