"""Bits per byte of held-out text while a stage trains, on the torch back end."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import cattrs
import numpy as np
import pytest

from compiler.errors import UserError
from compiler.trainjob import Parallelism
from runtime import interruption
from runtime.evaluation.bits_per_byte import DocumentBits, bits_table, document_bits
from runtime.training.score import token_log_probs
from runtime.training.validation import Validation, open_held_out

LENGTHS, LANGUAGES = (5, 33, 2, 70, 20, 12), ("go", "c", None, "go", "c", "go")
"""In tokens, both ends included; the model has 32 positions."""


@pytest.fixture
def held_out(tmp_path, write_tokens):
    """Six documents of random tokens in two languages and none."""
    rng = np.random.default_rng(5)
    directory = write_tokens(tmp_path / "held_out", [rng.integers(0, 64, length) for length in LENGTHS])
    table = {"languages": list(LANGUAGES), "bytes": [3 * length - 6 for length in LENGTHS]}
    (directory / "languages.json").write_text(json.dumps(table))
    return directory


@pytest.fixture
def job(tiny_job):
    """Eight steps, measured after the 3rd, the 6th and the last."""
    return attrs.evolve(tiny_job, validate_every=3, checkpoint_every=3)


def validation_lines(out):
    """The measurements of a finished stage."""
    return [json.loads(line) for line in (out / "metrics" / "validation.jsonl").read_text().splitlines()]


def written(arguments):
    """The file of the arguments of a script beside this file."""
    file = Path(arguments["root"]) / "arguments.json"
    file.write_text(json.dumps(arguments))
    return str(file)


def test_the_last_measurement_is_that_of_the_finished_checkpoint(job, held_out, run_job):
    """Bit for bit what bits per byte of the same documents come to afterwards, in all and by language."""
    out = run_job(job, held_out=held_out)
    texts = open_held_out(job, held_out)
    scored = token_log_probs(out / "checkpoint", texts.sequences(), threads=1)
    documents = [
        DocumentBits(float(document_bits(log_probs, [len(log_probs)])[0]), num_bytes, language)
        for log_probs, num_bytes, language in zip(scored, texts.num_bytes, texts.languages, strict=True)
    ]
    after = bits_table(documents)
    last = validation_lines(out)[-1]
    assert (last["documents"], last["bytes"]) == (6, 390)
    assert last["bits_per_byte"] == after["total"]["bits_per_byte"]
    assert last["languages"] == {name: total["bits_per_byte"] for name, total in after["languages"].items()}
    assert set(last["languages"]) == {"go", "c", "(none)"}


def test_it_is_measured_every_so_many_steps_and_at_the_end(job, held_out, run_job):
    """The last step once, also where it is due anyway; the numbers move as the weights do."""
    lines = validation_lines(run_job(job, held_out=held_out))
    assert [line["step"] for line in lines] == [3, 6, 8]
    assert len({line["bits_per_byte"] for line in lines}) == 3
    even = run_job(attrs.evolve(job, validate_every=4), "even", held_out=held_out)
    assert [line["step"] for line in validation_lines(even)] == [4, 8]


def test_measuring_changes_no_weight(job, held_out, run_job, read_output):
    """All other outputs are those of a run that never looks."""
    measured = read_output(run_job(job, held_out=held_out))
    plain = read_output(run_job(attrs.evolve(job, validate_every=0), "plain", held_out=held_out))
    assert measured.pop("metrics/validation.jsonl")
    assert measured == plain


def test_a_killed_run_leaves_the_same_measurements(job, corpus, held_out, run_job, run_script, read_output):
    """Killed before a state is saved, while one is written, and between a state and its measurement."""
    arguments = {
        "root": str(corpus.root),
        "job": cattrs.unstructure(job),
        "tokens": [str(path) for path in corpus.tokens],
        "blend": str(corpus.blend(job)),
        "held_out": str(held_out),
    }
    out, resume = corpus.root / "killed", corpus.root / "killed-resume"
    run_script(
        "killed_run", written(arguments), str(out), str(resume), "step:2", "step:3", "step:5", "after:7", "output:1"
    )
    assert read_output(out) == read_output(run_job(job, held_out=held_out))


def test_a_stop_does_not_wait_for_a_measurement(job, held_out, run_job, corpus):
    """Asked to stop at a step that is due, the run saves and ends; the next attempt measures first."""
    looks = iter([False, False, False, True])
    with pytest.raises(interruption.Interrupted):
        run_job(job, held_out=held_out, stop=lambda: next(looks))
    log = corpus.root / "run-resume" / "validation.jsonl"
    assert log.read_text() == ""
    out = run_job(job, held_out=held_out)
    assert [line["step"] for line in validation_lines(out)] == [3, 6, 8]


def test_what_was_measured_is_not_measured_again(job, held_out, corpus):
    """A resumed run goes on behind the measurement of its first step, if that was made."""
    calls = []

    def score(ids, labels):
        calls.append(len(ids))
        return np.full(labels.shape, -1.0)

    def validation():
        return Validation(job, open_held_out(job, held_out), score)

    resume = corpus.root / "resume"
    resume.mkdir()
    first = validation()
    with first.open(resume, 0):
        assert not first.owes(0) and not first.owes(2) and first.owes(3)
        first.line(3)
        assert not first.owes(3)
    again = validation()
    with again.open(resume, 3):
        assert not again.owes(3) and again.owes(6)
    cut = validation()
    with cut.open(resume, 2):
        assert cut.owes(3)
    assert (resume / "validation.jsonl").read_text() == ""
    with pytest.raises(UserError, match="0 lines where the saved state needs 1"), validation().open(resume, 6):
        pass


def test_two_ranks_measure_what_one_does(job, held_out, corpus, run_script):
    """Both score, one writes; also where the first attempt is stopped at a step that is due."""
    groups = []
    for ranks in (1, 2):
        split = attrs.evolve(job, parallelism=Parallelism(data=ranks), micro_batch=1)
        out, resume = (str(corpus.root / f"{name}-{ranks}") for name in ("out", "resume"))
        group = {"job": cattrs.unstructure(split), "out": out, "resume": resume}
        groups += [{**group, "stop": [ranks - 1, 3]}, group]
    arguments = {
        "root": str(corpus.root),
        "tokens": [str(path) for path in corpus.tokens],
        "blend": str(corpus.blend(job)),
        "held_out": str(held_out),
        "groups": groups,
    }
    codes = [json.loads(line)["codes"] for line in run_script("ranked_run", written(arguments)).splitlines()]
    assert codes == [[interruption.EXIT_CODE], [0], [interruption.EXIT_CODE] * 2, [0, 0]]
    one, two = (validation_lines(corpus.root / f"out-{ranks}") for ranks in (1, 2))
    assert [line["step"] for line in two] == [3, 6, 8]
    for alone, shared in zip(one, two, strict=True):
        assert shared["bits_per_byte"] == pytest.approx(alone["bits_per_byte"], rel=1e-5)


def test_a_stage_that_was_given_nothing_to_measure_on_says_so(job, run_job):
    """Rather than train without a word."""
    with pytest.raises(UserError, match="to be measured every 3 steps, and has no held-out text"):
        run_job(job)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "unreadable"),
        ("[]", "unreadable"),
        ('{"languages": ["go"], "bytes": [1]}', r"\[1, 6\] documents in its files"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(job, held_out, table, message):
    """Before anything trains."""
    if table is None:
        (held_out / "languages.json").unlink()
    else:
        (held_out / "languages.json").write_text(table)
    with pytest.raises(UserError, match=message):
        open_held_out(job, held_out)


def test_tokens_of_another_tokenizer_are_refused(job, held_out):
    """The model has 32 tokens, the text up to 63."""
    small = attrs.evolve(job, model=attrs.evolve(job.model, vocab_size=32))
    with pytest.raises(UserError, match="held-out token 63 of a model with 32 tokens"):
        open_held_out(small, held_out)
