"""The first documents of a source: whose, how many, and with the values that the runtime's signals have."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import sample
from compiler.metadata import column_names, list_files
from compiler.rule_expressions import constant
from compiler.sample import SIGNALS, Document, first_documents
from ocspec.sources import Columns, Directory, JsonLines, Package, Parquet, PyPI
from runtime.data.signals import SIGNALS as RUNTIME_SIGNALS
from runtime.data.signals.document import Document as RuntimeDocument

ROWS = [{"text": f"x = {n}\n", "repo": "alpha", "path": f"{n}.py", "stars": n} for n in range(500)]
COLUMNS = Columns(content="text", stars="stars")


@given(st.text(min_size=1))
def test_what_is_told_of_a_text_is_what_the_runtime_tells(text: str) -> None:
    ours, theirs = Document(content=text).values, RuntimeDocument(text, None)
    for name in SIGNALS:
        assert ours[name] == pytest.approx(RUNTIME_SIGNALS[name].function(theirs)), name


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "parquet"])
def test_the_first_200_rows(form: str, tmp_path: Path) -> None:
    file = tmp_path / f"rows.{form}"
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), file)
        source = Parquet(name="rows", path=str(file), columns=COLUMNS)
    else:
        file.write_bytes(gzip.compress(lines) if form.endswith("gz") else lines)
        source = JsonLines(name="rows", path=str(file), columns=COLUMNS)
    found = first_documents(source, str(file))
    assert len(found) == 200
    assert found[7] == Document(content="x = 7\n", repo="alpha", path="7.py", stars=7)


def test_files_of_a_directory_by_repository_and_path(tmp_path: Path) -> None:
    for name, content in (
        ("a/src/m.py", b"x = 1\n"),
        ("b/n.py", b"\xff\xfe"),
        ("b/o.py", b"y = 2\n"),
        ("b/empty", b""),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = first_documents(Directory(name="tree", path=str(tmp_path)), str(tmp_path))
    assert [(one.repo, one.path) for one in found] == [("a", "src/m.py"), ("b", "o.py")]


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"content": 1}\nnot json\n[1]\n{"content": "x", "stars": "many"}\n')
    source = JsonLines(name="bad", path=str(file), columns=Columns(stars="stars"))
    assert first_documents(source, str(file)) == [Document(content="x")]
    file.write_text('{"content": "y"}\n' + "[" * 100_000 + "]" * 100_000 + "\n")
    assert first_documents(source, str(file)) == [Document(content="y")]
    assert first_documents(source, str(tmp_path / "nowhere.jsonl")) == []
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 or not")
    assert first_documents(Parquet(name="p", path="x"), str(tmp_path / "bad.parquet")) == []
    packages = (Package(name="six", version="1", sha256="0" * 64),)
    assert first_documents(PyPI(name="pypi", packages=packages), "") == []


def test_a_line_that_the_limit_cuts_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text('{"content": "x"}\n{"content": "yyyyyyyyyyyyyyyy"}\n')
    monkeypatch.setattr(sample, "MOST_BYTES", 30)
    assert [one.content for one in first_documents(JsonLines(name="l", path="x"), str(file))] == ["x"]


def test_names_of_columns_are_those_at_the_top(tmp_path: Path) -> None:
    """Structs, lists and maps have elements of their own in a footer; many columns have a longer head."""
    nested = {"text": ["x"], "meta": [{"a": 1, "b": {"c": [1, 2]}}], "tags": [["x"]], "last": [1]}
    for columns in (nested, {f"column_{n}": [n] for n in range(40)}):
        file = tmp_path / "some.parquet"
        pq.write_table(pa.table(columns), file)
        (found,) = list_files("parquet", str(file), name="some")
        assert column_names(found) == list(columns)


bounds = st.integers(0, 30)


@settings(max_examples=40)
@given(bounds, bounds, bounds, st.sampled_from(["AND", "OR"]))
def test_a_condition_that_holds_for_some_document_is_never_said_to_hold_for_none(
    low: int, high: int, lines: int, joined: str
) -> None:
    """Nor is one that fails for some said to hold for all."""
    where = f"num_lines > {low} {joined} num_lines < {high}"
    holds = all((lines > low, lines < high)) if joined == "AND" else any((lines > low, lines < high))
    assert constant(where) in {None, holds}
