"""Made-up code: the same for one name, another for another, and of the form that training reads."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from compiler import ir
from runtime.data.bpe import TOKENIZER_FILE, Encoder
from runtime.data.indexed import IndexedReader
from runtime.data.operators.smoke import data, tokenizer
from runtime.task import Artifact
from tests.runtime.data.operators.conftest import Bench

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")


def vocabulary(bench: Bench, size: int = 512) -> Artifact:
    return bench.run(tokenizer, ir.SmokeTokenizer(vocab_size=size, special_tokens=SPECIAL))


def encoder_of(artifact: Artifact) -> Encoder:
    return Encoder.load(artifact.path / "tokenizer" / TOKENIZER_FILE)


def reader_of(artifact: Artifact) -> IndexedReader:
    return IndexedReader(artifact.path / "tokens" / "tokens")


def test_the_vocabulary_is_exactly_as_large_as_asked(bench: Bench) -> None:
    """With the special tokens first."""
    written = json.loads((vocabulary(bench).path / "tokenizer" / TOKENIZER_FILE).read_text())
    assert len(written["model"]["vocab"]) == 512
    assert [token["content"] for token in written["added_tokens"]] == list(SPECIAL)


def test_documents_are_code_and_each_ends(bench: Bench) -> None:
    """As many as hold the tokens that are asked for, and not many more."""
    words = vocabulary(bench)
    made = bench.run(data, ir.SmokeData(dataset="code", num_tokens=5000), tokenizer=[words])
    reader, encoder = reader_of(made), encoder_of(words)
    assert 5000 <= len(reader.tokens) < 5500
    assert {int(reader[n][-1]) for n in range(len(reader))} == {encoder.special("<|endoftext|>")}
    text = encoder.decode(reader[0][:-1])
    assert text.startswith("def ")
    compile(text, "document", "exec")


def test_samples_say_where_their_answers_start(bench: Bench) -> None:
    """Cut to the length of the stage, each with an answer in it."""
    words = vocabulary(bench)
    op = ir.SmokeData(dataset="tasks", num_samples=7, max_length=128)
    made = bench.run(data, op, tokenizer=[words])
    reader, encoder = reader_of(made), encoder_of(words)
    starts = np.load(made.path / "tokens" / "answer_start.npy")
    assert len(reader) == len(starts) == 7
    assert max(reader.lengths) <= 128
    for number, start in enumerate(starts.tolist()):
        assert 0 < start < reader.lengths[number]
        assert encoder.decode(reader[number][start:]).startswith("def ")


def test_the_same_name_gives_the_same_bytes_and_another_name_others(bench: Bench) -> None:
    """Two data sets of a blend must not be one."""
    words = vocabulary(bench)

    def made(name: str) -> bytes:
        artifact = bench.run(data, ir.SmokeData(dataset=name, num_tokens=500), tokenizer=[words])
        return Path(artifact.path / "tokens" / "tokens.bin").read_bytes()

    assert made("a") == made("a")
    assert made("a") != made("b")


def test_the_bytes_of_this_version(bench: Bench) -> None:
    """Raise op_version with them."""
    made = bench.run(data, ir.SmokeData(dataset="a", num_tokens=500), tokenizer=[vocabulary(bench)])
    digest = hashlib.sha256((made.path / "tokens" / "tokens.bin").read_bytes()).hexdigest()
    assert (ir.SmokeData.op_version, digest[:16]) == (1, "0cf2fa18fb627fd6")
