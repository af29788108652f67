"""Instruction pairs: from functions, from files good and bad, and encoded with the place of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compiler import ir
from compiler.errors import UserError
from runtime.data.bpe import Encoder
from runtime.data.indexed import IndexedReader
from runtime.data.operators.instructions import PAIRS_SCHEMA, chat_tokens, encode_pairs, make_pairs, read_pairs
from runtime.task import Artifact
from tests.runtime.data.operators.conftest import Bench, refined, refined_of, rows, selection_of, text

FUNCTION = '''\
def {name}(value):
    """Return the value, one added to it."""
    one = 1
    return value + one
'''


def function(name: str) -> str:
    """A documented function."""
    return FUNCTION.format(name=name)


# ---------------------------------------------------------------- from functions


def test_pairs_of_training_documents_in_the_languages_asked_for(bench: Bench) -> None:
    """Held-out and unselected documents give none; a pair is known by its document and line."""
    found = [
        refined("r/a.py", "x = 1\n\n\n" + function("add")),
        refined("r/held.py", function("held"), held_out=True),
        refined("r/out.py", function("out")),
        refined("r/b.go", "// add adds.\nfunc add() int {\n\tx := 1\n\treturn x\n}\n", language="go"),
        refined("r/none.txt", "text", language=None),
    ]
    op = ir.MakePairs(dataset="d", languages=("python",))
    documents = refined_of(bench, found)
    selection = selection_of(bench, documents, *(row["doc_id"] for row in found if row["doc_id"] != "r/out.py"))
    artifact = bench.run(make_pairs, op, documents=[documents], selection=[selection])
    assert text(artifact, "pairs", "pair_id", "language", "output") == (
        "r/a.py#4 | python |     one = 1\n    return value + one\n"
    )
    assert "def add(value):" in rows(artifact, "pairs")[0]["instruction"]
    assert artifact.manifest["stats"] == {"pairs": 1, "parser_failed": 0}
    everything = bench.run(make_pairs, op, 3, documents=[refined_of(bench, found, files=2)])
    assert text(everything, "pairs", "pair_id") == "r/a.py#4\nr/out.py#1\n"


def test_short_documentation_makes_no_pair(bench: Bench) -> None:
    """As the spec says."""
    documents = refined_of(bench, [refined("r/a.py", function("add"))])
    op = ir.MakePairs(dataset="d", languages=("python",), min_docstring_chars=99)
    assert bench.run(make_pairs, op, documents=[documents]).manifest["stats"] == {"pairs": 0, "parser_failed": 0}


# ---------------------------------------------------------------- from files


def read(bench: Bench, location: str, form: Any = "jsonl", **columns: str) -> Artifact:
    """The pairs of files."""
    return bench.run(read_pairs, ir.ReadPairs(dataset="d", format=form, location=location, **columns))


def test_pairs_of_files_are_numbered_in_their_order(bench: Bench) -> None:
    """Over all files, by name; texts as they stand, also those that look like dates or numbers."""
    folder = bench.directory() / "it's"
    folder.mkdir()
    for name, numbers in (("b", (3,)), ("a", (1, 2))):
        lines = [json.dumps({"q": f'{n} "ü"\n', "a": f"2020-01-0{n}", "more": [n]}) for n in numbers]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    artifact = read(bench, f"{folder}/*.jsonl", instruction="q", output="a")
    assert rows(artifact, "pairs") == [
        {"pair_id": f"d#{n}", "language": None, "instruction": f'{n} "ü"\n', "output": f"2020-01-0{n}"}
        for n in (1, 2, 3)
    ]
    assert artifact.manifest["stats"] == {"pairs": 3, "dropped_rows": 0}


def test_parquet_gives_the_same_pairs(bench: Bench) -> None:
    """The location is relative to the spec."""
    found = [{"instruction": f"do {n}", "output": f"x = {n}"} for n in range(40)]
    pq.write_table(pa.Table.from_pylist(found), bench.root / "pairs.parquet", row_group_size=7)
    lines = read(bench, bench.json_lines(found))
    assert text(read(bench, "pairs.parquet", "parquet"), "pairs") == text(lines, "pairs") != ""


def test_rows_without_text_are_left_out_and_counted(bench: Bench) -> None:
    """On either side, wherever they stand: no answer goes to another's question."""
    numbers = [None, 1, None, 3, 4, 5, None]
    found = [{"instruction": n and f"do {n}", "output": f"x{i}"} for i, n in enumerate(numbers)]
    for i in (2, 3, 5):
        found[i]["output"] = None
    found[4]["output"] = "nul \0"
    found.append({"instruction": "do 7", "output": "x7"})
    artifact = read(bench, bench.json_lines(found))
    assert text(artifact, "pairs", "instruction", "output") == "do 1 | x1\ndo 7 | x7\n"
    assert artifact.manifest["stats"] == {"pairs": 2, "dropped_rows": 6}


@pytest.mark.parametrize("number", [700, 1500])
def test_many_rows_stay_matched(bench: Bench, number: int) -> None:
    """Beyond the size of a batch, with a hole in every tenth."""
    found = [
        {"instruction": f"do {n}" if n % 10 else None, "output": f"x{n}" if n % 7 else None} for n in range(number)
    ]
    path = bench.directory() / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(found), path)
    artifact = read(bench, str(path), "parquet")
    matched = {row["instruction"][3:]: row["output"][1:] for row in rows(artifact, "pairs")}
    assert all(one == other for one, other in matched.items())
    assert len(matched) == sum(bool(n % 10 and n % 7) for n in range(number))


def test_bad_files_name_the_field_of_the_spec(bench: Bench) -> None:
    """Missing and retyped columns and bad lines, with file and line; no documents are spoken of."""
    missing = bench.json_lines([{"question": "a", "output": "b"}])
    with pytest.raises(UserError, match=r"no key .* 'instruction' \(for instruction\); there are 'question'") as error:
        read(bench, missing)
    assert error.value.fix == "set Instructions.instruction to one of them" and error.value.where == missing
    retyped = bench.json_lines([{"instruction": "a", "output": "b"}, {"instruction": "a", "output": ["b"]}])
    with pytest.raises(UserError, match="'output' is of type list, not a string") as error:
        read(bench, retyped)
    assert error.value.where == f"{retyped}:2" and "Instructions.output" in error.value.fix
    broken = Path(bench.json_lines([{"instruction": "a", "output": "b"}]))
    broken.write_text(broken.read_text() + '{"instr\n')
    with pytest.raises(UserError, match="not valid JSON") as error:
        read(bench, str(broken))
    assert error.value.where == f"{broken}:2"


def test_files_without_a_single_pair(bench: Bench) -> None:
    """How many rows they have, and that none is a pair."""
    location = bench.json_lines([{"instruction": "a", "output": None}, {"instruction": None, "output": "b"}])
    with pytest.raises(UserError, match="no row of 'd' is a pair: 2 lack an instruction or an output") as error:
        read(bench, location)
    assert error.value.where == location


# ---------------------------------------------------------------- encoded


def encoded(bench: Bench, tokenizer: Artifact, found: list[dict[str, str]], **op: Any) -> Artifact:
    """Samples of pairs, given in two files."""
    numbered = [{"pair_id": f"p{n}", "language": "python", **row} for n, row in enumerate(found)]
    pairs = bench.table("pairs", numbered, PAIRS_SCHEMA, files=2)
    operator = ir.EncodePairs(**{"dataset": "d", "max_length": 400, **op})
    return bench.run(encode_pairs, operator, pairs=[pairs], tokenizer=[tokenizer])


def samples(artifact: Artifact) -> list[tuple[np.ndarray[Any, Any], int]]:
    """Tokens of each sample, and where its answer starts."""
    reader = IndexedReader(artifact.path / "tokens" / "tokens")
    starts = np.load(artifact.path / "tokens" / "answer_start.npy")
    assert starts.dtype == np.int32 and len(starts) == len(reader)
    return [(reader[n], int(starts[n])) for n in range(len(reader))]


def test_the_answer_starts_where_it_is_said_to(bench: Bench, tokenizer: Artifact, encoder: Encoder) -> None:
    """Before it the whole prompt, behind it the answer and its end, and nothing else."""
    found = [{"instruction": f"Write {n}", "output": f"x = {n}\n"} for n in range(5)]
    artifact = encoded(bench, tokenizer, found)
    split = sorted((encoder.decode(ids[:start]), encoder.decode(ids[start:])) for ids, start in samples(artifact))
    assert split == [
        (
            f"<|im_start|>user\nWrite {n}<|im_end|>\n<|im_start|>assistant\n",
            f"x = {n}\n<|im_end|><|endoftext|>",
        )
        for n in range(5)
    ]
    total = sum(len(ids) for ids, _ in samples(artifact))
    assert artifact.manifest["stats"] == {"samples": 5, "too_long": 0, "tokens": total}


def test_the_order_is_seeded_and_does_not_depend_on_the_files(bench: Bench, tokenizer: Artifact) -> None:
    """Another seed is another order; `max_samples` takes the first of it."""
    found = [{"instruction": f"Write {n}", "output": f"x = {n}\n"} for n in range(9)]
    pairs = [{"pair_id": f"p{n}", "language": "python", **row} for n, row in enumerate(found)]

    def order(seed: int = 0, most: int = 0, files: int = 1, step: int = 1) -> list[list[int]]:
        table = bench.table("pairs", pairs[::step], PAIRS_SCHEMA, files)
        op = ir.EncodePairs(dataset="d", max_length=400, seed=seed, max_samples=most)
        made = bench.run(encode_pairs, op, pairs=[table], tokenizer=[tokenizer])
        return [ids.tolist() for ids, _ in samples(made)]

    assert order() == order(files=3) == order(step=-1)
    assert order(seed=1) != order() and sorted(order(seed=1)) == sorted(order())
    assert order(most=4) == order()[:4]


def test_answers_that_occur_twice_are_taken_once(bench: Bench, tokenizer: Artifact, encoder: Encoder) -> None:
    """The pair of the lowest id stays."""
    found = [{"instruction": f"Write {n}", "output": "x = 1\n"} for n in range(3)]
    ((ids, _),) = samples(encoded(bench, tokenizer, found))
    assert "Write 0" in encoder.decode(ids)


def test_long_samples_are_cut_and_long_prompts_left_out(bench: Bench, tokenizer: Artifact, encoder: Encoder) -> None:
    """A cut answer keeps its beginning and loses its end mark; a prompt that fills the sample is counted."""
    found = [
        {"instruction": "short", "output": "value " * 400},
        {"instruction": "value " * 400, "output": "y = 2\n"},
        {"instruction": "short", "output": "z\n"},
    ]
    artifact = encoded(bench, tokenizer, found, max_length=60)
    long, short = sorted(samples(artifact), key=lambda sample: -len(sample[0]))
    prompt, answer = chat_tokens(encoder, "short", "value " * 400)
    assert long[0].tolist() == np.concatenate([prompt, answer])[:60].tolist() and long[1] == len(prompt)
    assert encoder.decode(short[0][short[1] :]) == "z\n<|im_end|><|endoftext|>"
    assert artifact.manifest["stats"] == {"samples": 2, "too_long": 1, "tokens": 60 + len(short[0])}
    exact = encoded(bench, tokenizer, found[2:], max_length=len(prompt) + 1)
    assert [len(ids) for ids, _ in samples(exact)] == [len(prompt) + 1]
    with pytest.raises(UserError, match=rf"fits {len(prompt)} tokens: the prompts of all 1 are longer"):
        encoded(bench, tokenizer, found[2:], max_length=len(prompt))
    with pytest.raises(UserError, match="source 'd' has no instruction pairs"):
        encoded(bench, tokenizer, [])


def test_chat_tokens_end_with_a_newline_and_the_end_marks(encoder: Encoder) -> None:
    """However the answer ended; marks that a text spells out are ordinary characters."""
    newline, end, stop = encoder.encode("\n").tolist(), encoder.special("<|im_end|>"), encoder.special("<|endoftext|>")
    for output in ("x = 1", "x = 1\n", "x = 1\n\n"):
        _, answer = chat_tokens(encoder, "do", output)
        assert answer.tolist() == [*encoder.encode("x = 1\n").tolist(), end, stop]
        assert answer.tolist()[-3:] == [*newline, end, stop]
        assert answer.dtype == encoder.dtype
    prompt, answer = chat_tokens(encoder, "<|im_end|>", "<|endoftext|>")
    assert (prompt.tolist().count(end), answer.tolist().count(stop)) == (1, 1)
