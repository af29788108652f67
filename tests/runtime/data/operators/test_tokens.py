"""Tokenizers, encoding and packing: what is left out, what order the tokens have, what is said where none are left."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from compiler import ir
from compiler.errors import UserError
from runtime.data.bpe import TOKENIZER_FILE, Encoder
from runtime.data.indexed import IndexedReader
from runtime.data.operators.tokens import encode, import_tokenizer, pack, train_bpe
from runtime.task import Artifact
from tests.runtime.data.operators.conftest import TEXT, Bench, refined, refined_of, rows, selection_of, text

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")


def train(bench: Bench, documents: Artifact, **inputs: Any) -> Artifact:
    """A tokenizer of 280 ids for one data set."""
    shares = (ir.DatasetShare(dataset="d", share=Fraction(1)),)
    op = ir.TrainBPE(vocab_size=280, special_tokens=SPECIALS, shares=shares, sample_bytes=5000)
    return bench.run(train_bpe, op, **{"documents__d": [documents], **inputs})


def test_a_tokenizer_is_trained_on_what_is_selected_and_not_held_out(bench: Bench) -> None:
    """Other documents do not change a byte of it."""
    found = [refined("r/a", TEXT), refined("r/b", TEXT.replace("function", "method"))]
    noise = [refined("r/held", "zq" * 999, held_out=True), refined("r/out", "qz" * 999)]
    documents = refined_of(bench, found + noise, files=2)
    selection = selection_of(bench, documents, *(f"r/{name}" for name in ("a", "b", "held")))
    plain = train(bench, refined_of(bench, found))
    other = train(bench, documents, **{"selection__d": [selection]})
    one, two = ((a.path / "tokenizer" / TOKENIZER_FILE).read_bytes() for a in (plain, other))
    assert one == two
    assert Encoder.load(plain.path / "tokenizer" / TOKENIZER_FILE).vocab_size == 280


def test_no_text_to_train_on_is_told_with_the_funnel(bench: Bench) -> None:
    """Every document held out, or none there."""
    with pytest.raises(UserError, match="no document of data set 'd' is left to train the tokenizer on"):
        train(bench, refined_of(bench, [refined("r/a", TEXT, held_out=True)]))
    with pytest.raises(UserError, match="no document of data set 'd' is left"):
        train(bench, refined_of(bench, []))


def test_import_copies_the_file(bench: Bench, tokenizer: Artifact) -> None:
    """Byte for byte, also where its digest is given."""
    source = tokenizer.path / "tokenizer" / TOKENIZER_FILE
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    for given in (digest, "a name", ""):
        op = ir.ImportTokenizer(vocab_size=300, digest=given, location=str(source))
        made = bench.run(import_tokenizer, op)
        assert (made.path / "tokenizer" / TOKENIZER_FILE).read_bytes() == source.read_bytes()


def test_a_tokenizer_that_cannot_be_imported(bench: Bench, tokenizer: Artifact) -> None:
    """Missing, changed, too large, or no tokenizer: its path and the numbers, and nothing is written."""
    source = tokenizer.path / "tokenizer" / TOKENIZER_FILE
    broken = bench.root / "broken.json"
    broken.write_text("{}")
    for location, vocab_size, digest, said in (
        (str(bench.root / "none.json"), 300, "", "No such file"),
        (str(source), 300, "0" * 64, "has SHA-256 .*, the spec says 0000000000000000"),
        (str(source), 299, "", "has 300 entries, the spec says 299"),
        (str(broken), 300, "", "not a tokenizer.json"),
    ):
        op = ir.ImportTokenizer(vocab_size=vocab_size, digest=digest, location=location)
        with pytest.raises(UserError, match=said) as error:
            bench.run(import_tokenizer, op)
        assert error.value.where == location


def encoded(bench: Bench, tokenizer: Artifact, documents: Artifact, shards: int = 1, **more: Any) -> Artifact:
    """The token rows of documents."""
    return bench.run(encode, ir.Encode(dataset="d"), shards, documents=[documents], tokenizer=[tokenizer], **more)


def test_encode_leaves_out_what_is_held_out_or_not_selected(
    bench: Bench, tokenizer: Artifact, encoder: Encoder
) -> None:
    """Each document ends with end-of-text; documents and tokens are counted."""
    found = [refined(f"r/{name}", f"def {name}(value):\n") for name in "abc"]
    found[1]["held_out"] = True
    documents = refined_of(bench, found)
    artifact = encoded(bench, tokenizer, documents)
    tokens = {row["doc_id"]: row["tokens"] for row in rows(artifact, "tokens")}
    assert {doc_id: encoder.decode(ids) for doc_id, ids in tokens.items()} == {
        "r/a": "def a(value):\n<|endoftext|>",
        "r/c": "def c(value):\n<|endoftext|>",
    }
    assert artifact.manifest["stats"] == {"documents": 2, "tokens": sum(map(len, tokens.values()))}
    selection = selection_of(bench, documents, "r/a", "r/b")
    chosen = encoded(bench, tokenizer, documents, selection=[selection])
    assert text(chosen, "tokens", "doc_id") == "r/a\n"


def test_shards_of_encode_share_the_documents(bench: Bench, tokenizer: Artifact) -> None:
    """Each document once."""
    documents = refined_of(bench, [refined(f"r/{n}", f"value {n}\n") for n in range(11)], files=2)
    one, three = (encoded(bench, tokenizer, documents, shards) for shards in (1, 3))
    assert text(one, "tokens") == text(three, "tokens") != ""


def packed(bench: Bench, tokenizer: Artifact, tokens: list[Artifact], seed: int = 0) -> Artifact:
    """Token files."""
    return bench.run(pack, ir.Pack(dataset="d", seed=seed), tokens=tokens, tokenizer=[tokenizer])


def bytes_of(artifact: Artifact) -> tuple[bytes, bytes]:
    """Both token files."""
    return tuple((artifact.path / "tokens" / f"tokens.{end}").read_bytes() for end in ("bin", "idx"))  # type: ignore[return-value]


def test_the_order_of_packing_does_not_depend_on_how_the_input_is_split(
    bench: Bench, tokenizer: Artifact, encoder: Encoder
) -> None:
    """It goes by a seeded hash of the id; another seed is another order of the same documents."""
    found = [refined(f"r/{n}", f"value {n}\n") for n in range(9)]
    ways = [
        packed(bench, tokenizer, [encoded(bench, tokenizer, refined_of(bench, order, files), shards)])
        for order, files, shards in ((found, 1, 1), (found[::-1], 3, 1), (found, 2, 4))
    ]
    assert len({bytes_of(way) for way in ways}) == 1
    assert ways[0].manifest["stats"] == {
        "documents": 9,
        "tokens": len(IndexedReader(ways[0].path / "tokens/tokens").tokens),
    }
    tokens = encoded(bench, tokenizer, refined_of(bench, found))
    other = packed(bench, tokenizer, [tokens], seed=1)
    assert bytes_of(other) != bytes_of(ways[0])
    readers = [IndexedReader(artifact.path / "tokens" / "tokens") for artifact in (ways[0], other)]
    first, second = ([encoder.decode(reader[n]) for n in range(len(reader))] for reader in readers)
    assert first != second and sorted(first) == sorted(second) == [f"value {n}\n<|endoftext|>" for n in range(9)]


def manifest(path: Path, task: str, stats: dict[str, Any] | None, **inputs: list[str]) -> Artifact:
    """An artefact of the store with a manifest; `inputs` are keys by role."""
    path.mkdir(parents=True)
    made = {role: [{"task": key, "key": key, "digest": ""} for key in keys] for role, keys in inputs.items()}
    content = {"task": task, "key": path.name, "stats": stats or {}, "inputs": made}
    (path / "manifest.json").write_text(json.dumps(content))
    return Artifact(path=path, task_id=task, manifest=content)


def test_nothing_to_pack_is_told_with_the_funnel_of_all_steps(bench: Bench, tokenizer: Artifact) -> None:
    """First step first, each once, the commonest rules by count; what the tokenizer read is not told."""
    store = bench.root / "artifacts"
    dropped = {"too_large": 5, "a": 1, "b": 1, "empty": 2}
    manifest(store / "1", "d/sign", {"in": 20, "kept": 11, "dropped": dropped})
    manifest(store / "2", "d/hold-out", {"in": 11, "kept": 11, "dropped": {}}, keys=["1"])
    manifest(store / "3", "d/refine", {"in": 11, "kept": 4, "dropped": {"short": 7}}, kept=["2"])
    manifest(store / "4", "d/select", {"in": 4, "kept": 0, "dropped": {"no_keyword": 4}}, documents=["3"])
    manifest(store / "5", "other/sign", {"in": 1, "kept": 1, "dropped": {}})
    manifest(store / "6", "tokenizer", None, documents=["5"])
    empty = manifest(store / "7", "d/encode", {"documents": 0}, documents=["3"], selection=["4"], tokenizer=["6"])
    source = encoded(bench, tokenizer, refined_of(bench, []))
    (source.path / "tokens").rename(empty.path / "tokens")
    with pytest.raises(UserError) as error:
        packed(bench, tokenizer, [empty])
    assert error.value.what == (
        "no document of data set 'd' is left for training: "
        "d/sign kept 11 of 20 (too_large 5, empty 2, a 1, 1 more); d/hold-out kept 11 of 11; "
        "d/refine kept 4 of 11 (short 7); d/select kept 0 of 4 (no_keyword 4)"
    )
