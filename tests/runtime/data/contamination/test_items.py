"""Items out of files of test sets: formats, fields, numbers, entry points, and what cannot be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compiler import ir
from compiler.errors import UserError
from runtime.data.contamination.items import Item, read_items

OWN = ir.TestSet(name="own", format="jsonl", item="task_id", texts=("prompt", "solution"))
MBPP = ir.TestSet(
    name="mbpp",
    format="jsonl",
    item="task_id",
    texts=("text", "code"),
    defined_in="code",
    called_in="test_list",
    first=11,
    last=510,
)


def lines(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))
    return str(path)


def problem(benchmark: ir.TestSet, location: str) -> str:
    with pytest.raises(UserError) as error:
        read_items(benchmark, location)
    assert error.value.fix
    return f"{error.value.where}: {error.value.what}"


ROW = {"task_id": "own/1", "prompt": "Add two", "solution": None}


@pytest.mark.parametrize("form", ["jsonl", "gz", "parquet"])
def test_formats(tmp_path: Path, form: str) -> None:
    """Fields are one text, a line each; null is empty; other fields are left alone."""
    path = str(tmp_path / f"own.{form}")
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist([{**ROW, "solution": "x"}, {**ROW, "task_id": "own/2"}]), path)
    else:
        with gzip.open(path, "wt") if form == "gz" else open(path, "w") as stream:
            stream.write(
                "".join(json.dumps(row) + "\n" for row in ({**ROW, "solution": "x"}, {**ROW, "task_id": "own/2"}))
            )
    benchmark = attrs.evolve(OWN, format="parquet" if form == "parquet" else "jsonl")
    assert read_items(benchmark, path) == [
        Item(benchmark="own", name="own/1", texts=("Add two\nx",)),
        Item(benchmark="own", name="own/2", texts=("Add two\n",)),
    ]


def test_rows_of_one_name_are_one_item(tmp_path: Path) -> None:
    """Over all files of a glob: the languages of one benchmark, say."""
    lines(tmp_path / "a.jsonl", ROW, {**ROW, "task_id": "own/2"})
    lines(tmp_path / "b.jsonl", {**ROW, "prompt": "Addiere"}, ROW)
    found = read_items(OWN, str(tmp_path / "*.jsonl"))
    assert [(item.name, item.texts) for item in found] == [
        ("own/1", ("Add two\n", "Addiere\n")),
        ("own/2", ("Add two\n",)),
    ]


def test_the_split_of_mbpp_and_its_entry_points(tmp_path: Path) -> None:
    """By numbers; the last function of the code that the tests call, else the last of all, else none."""
    two = "def helper(x):\n    return x\ndef add_two(x):\n    return helper(x)\ndef unused():\n    pass\n"
    rows = [
        {"task_id": 10, "text": "prompt", "code": "def a(): pass", "test_list": []},
        {"task_id": 11, "text": "Add", "code": two, "test_list": ["assert set(add_two(1)) == 3", "assert helper(1)"]},
        {"task_id": 12, "text": "Add", "code": two, "test_list": ["assert no_such(1)"]},
        {"task_id": 510, "text": "Add", "code": "x = 1", "test_list": []},
        {"task_id": 511, "text": "train", "code": "", "test_list": []},
    ]
    found = read_items(MBPP, lines(tmp_path / "mbpp.jsonl", *rows))
    assert [(item.name, item.entry_point) for item in found] == [("11", "add_two"), ("12", "unused"), ("510", "")]
    assert found[0].texts == (f"Add\n{two}",)


def test_heads_of_functions_name_the_entry_points_of_multipl_e(tmp_path: Path) -> None:
    """In each of its languages that opens a block or has a keyword."""
    prompts = {
        "cpp": "// Sum.\nlong string_length(std::string string) {\n",
        "go": "func string_length(myString string) int {\n",
        "java": "class Problem {\n    public static long stringLength(String string) {\n",
        "js": "//Sum\nfunction string_length(string){\n",
        "lua": "local function string_length(string)\n",
        "php": "<?php\nfunction string_length($string) {\n",
        "rs": "fn string_length(string: String) -> isize {\n",
        "sh": "# $1 is a string\nstring_length() {\n",
        "ts": "function string_length(string: string): number {\n",
    }
    benchmark = ir.TestSet(name="multipl_e", format="jsonl", item="name", texts=("prompt",), defined_in="prompt")
    rows = [{"name": language, "prompt": prompt} for language, prompt in prompts.items()]
    found = read_items(benchmark, lines(tmp_path / "m.jsonl", *rows))
    assert {item.entry_point.replace("stringLength", "string_length") for item in found} == {"string_length"}


def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path) -> None:
    path = str(tmp_path / "own.jsonl")
    lines(Path(path), ROW, {"task_id": 1, "prompt": "x"})
    assert problem(OWN, path) == f"{path}, row 2: test set 'own' has no field 'solution'; it has prompt, task_id"
    lines(Path(path), {**ROW, "prompt": {"en": "x"}})
    assert problem(OWN, path) == f"{path}, row 1: field 'prompt' of test set 'own' is a dict, not a string"
    Path(path).write_text("[1]\n")
    assert problem(OWN, path).startswith(f"{path}: test set 'own' cannot be read: a line holds no object")
    Path(path).write_text("{broken\n")
    assert problem(OWN, path).startswith(f"{path}: test set 'own' cannot be read: ")
    packed = tmp_path / "own.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(ROW).encode() * 50)[:-20])
    assert problem(OWN, str(packed)).startswith(f"{packed}: test set 'own' cannot be read: ")
    assert problem(attrs.evolve(OWN, format="parquet"), path).startswith(f"{path}: test set 'own' cannot be read: ")


def test_numbers_that_leave_nothing(tmp_path: Path) -> None:
    path = lines(tmp_path / "own.jsonl", ROW, {**ROW, "task_id": "own/two"})
    found = problem(attrs.evolve(OWN, first=5), path)
    assert found.endswith("row 2: item 'own/two' of test set 'own' has no number, but first or last is given")
    lines(Path(path), ROW)
    assert problem(attrs.evolve(OWN, first=5), path).endswith("test set 'own' has no items from 5 to None: 1 rows")
