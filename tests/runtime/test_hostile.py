"""Hostile files through the real pipeline: compiled, run in this process, and every document accounted for.

Whatever the bytes, no task fails: a document is kept, or dropped with a reason. What cannot be read at all is refused
with one message. Bad specs, disks and stores are in tests/e2e/test_bad_input.py.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import socket
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from compiler.errors import UserError
from compiler.plan import Plan
from ocspec import (
    WSD,
    Admit,
    Batches,
    Columns,
    Curriculum,
    Dataset,
    Deduplicate,
    Directory,
    Experiment,
    Filter,
    JsonLines,
    MinHash,
    Mixture,
    Parquet,
    Part,
    Pretrain,
    Redact,
    TrainedBPE,
    Transformer,
)
from runtime.data.languages import doc_type, language_of_content
from runtime.data.redact import redact
from runtime.data.signals import SIGNALS, SignalValues
from tests.runtime.conftest import Workbench
from tests.runtime.hostile import documents, json_line

STEPS = (Admit(), Deduplicate(near=MinHash(bands=4, rows=4)), Redact(), Filter())
GOOD = "def area(width, height):\n    return width * height\n"
REFINE = "code/refine"


def experiment(source: Any, steps: tuple[Any, ...] = STEPS) -> Experiment:
    """The smallest experiment over one source."""
    pretrain = Pretrain(
        name="pretrain",
        mixture=Mixture(parts=(Part(dataset="code", weight=1, max_epochs=1_000_000),)),
        batches=(Batches(steps=1, global_batch=1, sequence_length=8),),
        schedule=WSD(peak=1e-3, warmup_steps=0),
    )
    return Experiment(
        name="hostile",
        data=(Dataset(name="code", sources=(source,), steps=steps),),
        tokenizer=TrainedBPE(vocab_size=262, sample_bytes=100_000),
        model=Transformer(
            num_layers=1, hidden_size=16, intermediate_size=32, num_heads=2, num_kv_heads=1, max_positions=64
        ),
        curriculum=Curriculum(stages=(pretrain,)),
    )


@attrs.frozen
class Outcome:
    """What the pipeline did with a source: counts by step, every dropped row, ids of the documents that are left."""

    stats: dict[str, dict[str, Any]]
    dropped: list[dict[str, Any]]
    kept: list[str]

    @property
    def reasons(self) -> Counter[str]:
        """Dropped documents by rule."""
        return Counter(row["rule"] for row in self.dropped)


def run(workbench: Workbench, source: Any, *, steps: tuple[Any, ...] = STEPS, until: str = REFINE) -> Outcome:
    """Compile, and run everything up to a task. Raises UserError as a person would get it."""
    plan, path = workbench.compile(experiment(source, steps))
    summary = workbench.run(plan, path, until=until)
    if summary.errors or summary.failed:
        raise UserError("\n".join(summary.errors))
    return outcome(workbench, plan)


def outcome(workbench: Workbench, plan: Plan) -> Outcome:
    """Read the artefacts; at each step in = kept + dropped, and what goes in is what the step before kept."""
    stats: dict[str, dict[str, Any]] = {}
    dropped: list[dict[str, Any]] = []
    kept: list[str] = []
    expected = None
    for task in plan.tasks:
        artifact = workbench.store.find(task.fingerprint)
        if artifact is None or not (artifact.path / "dropped").is_dir():
            continue
        counts, rows = artifact.manifest["stats"], table(artifact.path / "dropped")
        assert counts["in"] == counts["kept"] + len(rows), task.id
        assert expected in {None, counts["in"]}, task.id
        assert all(row["step"] and row["rule"] for row in rows), task.id
        expected = counts["kept"]
        stats[task.id] = counts
        dropped += rows
        if task.id == REFINE:
            kept = [row["doc_id"] for row in table(artifact.path / "documents")]
            assert counts["kept"] == len(kept)
    return Outcome(stats, dropped, kept)


def table(path: Path) -> list[dict[str, Any]]:
    """All rows of a table's files."""
    return [row for file in sorted(path.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Parquet:
    """A source of one Parquet file."""
    pq.write_table(pa.table(columns), path / "a.parquet", **options)
    return Parquet(name="s", path=str(path / "a.parquet"))


def json_lines(path: Path, *lines: bytes, name: str = "a.jsonl") -> JsonLines:
    """A source of one file of JSON Lines."""
    data = b"".join(lines)
    (path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return JsonLines(name="s", path=str(path / name))


def line(**values: Any) -> bytes:
    """A line of JSON; repo and path are given where the values do not say."""
    return json.dumps({"repo": "r", "path": "a.py", "content": GOOD, **values}).encode() + b"\n"


# ---------------------------------------------------------------- ten thousand documents


def columns_of(found: list[tuple[str, str, bytes]]) -> dict[str, Any]:
    """The columns of a Parquet source."""
    repos, paths, contents = zip(*found, strict=True)
    return {"repo": repos, "path": paths, "content": pa.array(contents, pa.binary())}


def test_ten_thousand_documents(workbench: Workbench, tmp_path: Path) -> None:
    """Signed, deduplicated, redacted, judged: no task fails, and each document is kept or has a reason."""
    found = list(documents())
    result = run(workbench, parquet(tmp_path, columns_of(found), row_group_size=1000))
    ids = [f"s/{repo}/{path}" for repo, path, _ in found]
    assert sorted([*result.kept, *(row["doc_id"] for row in result.dropped)]) == sorted(ids)
    counts = result.stats["code/sign"]
    assert counts["in"] == len(found) > 10_000
    texts = [content for *_, content in found if is_text(content)]
    assert counts["in"] - len(texts) == counts["dropped"]["undecodable"] + counts["dropped"]["nul_bytes"]
    assert counts["dropped"]["empty"] == texts.count(b"")
    assert len(counts["languages"]) > 35
    assert result.kept


def is_text(content: bytes) -> bool:
    """UTF-8 without a NUL, as Python sees it."""
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def test_all_documents_reach_the_tokens(workbench: Workbench, tmp_path: Path) -> None:
    """Without rules and duplicates' end: every text is redacted, written, and encoded; the tokenizer learns from it."""
    found = list(documents(2000, limit=300_000))
    source = parquet(tmp_path, columns_of(found))
    steps = (Admit(), Redact(), Filter(catalogue="none"))
    result = run(workbench, source, steps=steps, until="code/pack")
    assert set(result.reasons) == {"undecodable", "nul_bytes", "empty", "unknown_language"}
    assert len(result.kept) + len(result.dropped) == len(found)
    assert "s/large/line.js" in result.kept


def test_the_same_documents_in_json_lines(workbench: Workbench, tmp_path: Path) -> None:
    """The same documents stay, and the others go for the same reasons."""
    found = list(documents(1500))
    (tmp_path / "other").mkdir()
    first = run(workbench, parquet(tmp_path, columns_of(found)), until="code/sign")
    source = json_lines(tmp_path, *(json_line(*document) for document in found))
    second = run(workbench, source, until="code/sign")
    assert first.stats == second.stats
    assert sorted(r["doc_id"] for r in first.dropped) == sorted(r["doc_id"] for r in second.dropped)


def test_every_signal_of_every_document() -> None:
    """Rules stop at the first hit, signals here do not: each yields a number or None, for any text and language."""
    for _, path, content in documents(1500, limit=300_000):
        if content and is_text(content):
            language = language_of_content(path, content)
            kind = doc_type(language) if language else "text"
            clean = redact(content.decode(), language, copyright=True, pii=True)
            values = SignalValues(clean.text, language, kind, path)
            for name in SIGNALS:
                value = values[name]
                assert value is None or math.isfinite(value), (path, name, value)


# ---------------------------------------------------------------- directories


def test_a_directory_of_traps(workbench: Workbench, tmp_path: Path) -> None:
    """Pipes, sockets, devices and links are no documents and are not opened; names of any bytes are."""
    repo = tmp_path / "root" / "repo"
    repo.mkdir(parents=True)
    raw = os.fsencode(repo)
    names = (
        b"a.py",
        b"new\nline.py",
        b"caf\xe9.py",
        b"x" * 252 + b".py",
        b"-rf.py",
        b"*.py",
        b"$(x).py",
        b"..py",
        b"\\.py",
    )
    for number, name in enumerate(names):
        with open(os.path.join(raw, name), "w") as stream:
            stream.write(f"def f{number}():\n    return {number}\n" * 12)
    deep = repo / Path(*["d"] * 400)
    deep.mkdir(parents=True)
    (deep / "deep.py").write_text("x = 1\n")
    (repo / "empty.py").touch()
    (repo / "blank.py").write_text(" \n" * 9)
    (repo / "pipe.py").symlink_to(repo / "pipe")
    os.mkfifo(repo / "pipe")
    (repo / "zero.py").symlink_to("/dev/zero")
    (repo / "self.py").symlink_to("self.py")
    (repo / "gone.py").symlink_to("nowhere")
    (repo / "loop").symlink_to(repo.parent)
    (repo.parent / "ring").symlink_to(repo.parent)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(repo, os.O_RDONLY)
        try:
            server.bind(f"/proc/self/fd/{here}/socket.py")  # the path of a socket is at most 108 bytes long
        finally:
            os.close(here)
        steps = (Admit(), Filter(catalogue="none"))
        result = run(workbench, Directory(name="s", path=str(repo.parent)), steps=steps)
    assert result.reasons == {"empty": 1}
    assert len(result.kept) == len(names) + 2
    assert "s/repo/new\nline.py" in result.kept
    assert "s/repo/caf\\xe9.py" in result.kept


def test_a_device_in_a_directory(workbench: Workbench, tmp_path: Path) -> None:
    """It is not read: /dev/zero has no end."""
    repo = tmp_path / "root" / "repo"
    repo.mkdir(parents=True)
    (repo / "a.py").write_text(GOOD)
    try:
        os.mknod(repo / "zero.py", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device needs a privilege")
    result = run(workbench, Directory(name="s", path=str(repo.parent)), steps=(Admit(),))
    assert result.kept == ["s/repo/a.py"]


def test_links_in_a_ring_do_not_multiply_files(workbench: Workbench, tmp_path: Path) -> None:
    """`**` follows no links to directories: a file behind a ring of links would come forty times."""
    data = tmp_path / "data" / "sub"
    data.mkdir(parents=True)
    source = json_lines(data, line())
    (data / "ring").symlink_to(data.parent)
    source = source.replace(path=str(data.parent / "**" / "*.jsonl"))
    assert run(workbench, source, steps=(Admit(),)).kept == ["s/r/a.py"]


# ---------------------------------------------------------------- tables


def test_contents_of_every_text_type(workbench: Workbench, tmp_path: Path) -> None:
    """Strings, bytes, large ones, views of dictionaries; null is dropped."""
    contents = [GOOD, None, "x = 1\n"]
    for kind in (
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ):
        columns = {"repo": ["r"] * 3, "path": ["a.py", "b.py", "c.py"], "content": pa.array(contents).cast(kind)}
        result = run(workbench, parquet(tmp_path, columns), steps=(Admit(),))
        assert result.reasons == {"missing_content": 1}, kind
        assert result.kept == ["s/r/a.py", "s/r/c.py"], kind


def test_a_column_of_nothing_drops_every_document(workbench: Workbench, tmp_path: Path) -> None:
    """Of type null, as writers make it where all values are missing."""
    columns = {"repo": ["r"] * 2, "path": ["a.py", "b.py"], "content": pa.nulls(2)}
    result = run(workbench, parquet(tmp_path, columns), steps=(Admit(), Deduplicate(), Filter()))
    assert result.reasons == {"missing_content": 2}
    assert result.stats[REFINE]["in"] == 0


Make = Callable[[Path], Any]


def damaged(keep: int | float, front: bytes = b"") -> Make:
    """A Parquet file of which the first part is left, behind other bytes."""

    def make(path: Path) -> Parquet:
        source = parquet(path, {"repo": ["r"] * 500, "path": [f"{n}.py" for n in range(500)], "content": [GOOD] * 500})
        whole = (path / "a.parquet").read_bytes()
        (path / "a.parquet").write_bytes(front + whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
        return source

    return make


def bytes_of(data: bytes) -> Make:
    """A file that is called a Parquet file."""

    def make(path: Path) -> Parquet:
        (path / "a.parquet").write_bytes(data)
        return Parquet(name="s", path=str(path / "a.parquet"))

    return make


def footer(body: bytes) -> Make:
    """A Parquet file with a footer that nobody wrote."""
    return bytes_of(b"PAR1" + body + len(body).to_bytes(4, "little") + b"PAR1")


def cut_gzip(path: Path) -> JsonLines:
    """The first half of a compressed file."""
    source = json_lines(
        path, *(line(path=f"{n}.py", content=os.urandom(40).hex()) for n in range(500)), name="a.jsonl.gz"
    )
    whole = (path / "a.jsonl.gz").read_bytes()
    (path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    return source


def named(name: str, data: bytes) -> Make:
    """JSON Lines under a name that promises something else."""

    def make(path: Path) -> JsonLines:
        (path / name).write_bytes(data)
        return JsonLines(name="s", path=str(path / name))

    return make


def lines(*found: bytes) -> Make:
    """JSON Lines behind a good one."""
    return lambda path: json_lines(path, line(path="good.py"), *found)


def stars(number: bytes) -> Make:
    """A line of JSON whose stars are `number`, behind a good one."""
    second = b'{"repo": "r", "path": "b.py", "content": "x", "stars": %s}' % number
    return lambda path: json_lines(path, line(stars=0), second).replace(columns=Columns(stars="stars"))


def columns(**changed: Any) -> Make:
    """Parquet with other columns; None leaves one out."""

    def make(path: Path) -> Parquet:
        given = {"repo": ["r"], "path": ["a.py"], "content": [GOOD], **changed}
        source = parquet(path, {name: values for name, values in given.items() if values is not None})
        return source.replace(columns=Columns(stars="stars" if "stars" in changed else ""))

    return make


NOTHING = pa.array([], pa.string())
REFUSED: dict[str, tuple[Make, str]] = {
    "Parquet of no bytes": (damaged(0), "bytes: 0"),
    "Parquet cut to its magic": (damaged(4), "not a whole Parquet file"),
    "half of a Parquet file": (damaged(0.5), "not a whole Parquet file"),
    "Parquet without its end": (damaged(-9), "not a whole Parquet file"),
    "Parquet behind a page of HTML": (damaged(1.0, b"<html>" * 9), "cannot be read as Parquet"),
    "no Parquet at all": (bytes_of(b"\x1f\x8b" * 99), "not a whole Parquet file"),
    "a footer of structs without end": (footer(b"\x1c" * 100_000), "not a Parquet file"),
    "a footer of lists without end": (footer(b"\x19" + b"\x19" * 100_000), "not a Parquet file"),
    "a footer with a list of 2**62 booleans": (
        footer(b"\x19\xf1" + b"\xff" * 8 + b"\x7f\x16\x02"),
        "not a Parquet file",
    ),
    "a footer of zeros": (footer(bytes(1000)), "Parquet"),
    "Parquet of no rows": (columns(repo=NOTHING, path=NOTHING, content=NOTHING), "rows: 0"),
    "Parquet without content": (columns(content=None), "no column 'content'"),
    "Parquet without paths": (columns(path=None), "no column 'path'"),
    "contents that are numbers": (columns(content=[1.5]), "which is no text"),
    "contents that are lists": (columns(content=[["a"]]), "which is no text"),
    "paths that are structs": (columns(path=[{"a": 1}]), "which is no name"),
    "stars that are words": (columns(stars=["many"]), "is not whole numbers"),
    "stars beyond 64 bits": (columns(stars=pa.array([2**64 - 1], pa.uint64())), "is not whole numbers"),
    "an array of JSON": (
        named("a.jsonl", json.dumps([{"content": GOOD}]).encode()),
        "JSON of type list, not an object",
    ),
    "an array of JSON on lines": (
        named("a.jsonl", json.dumps([{"content": GOOD}], indent=1).encode()),
        "not valid JSON",
    ),
    "a line that is cut": (lines(line()[:-20]), "not valid JSON"),
    "brackets without end": (lines(b"[" * 1_000_000), "not valid JSON"),
    "objects without end": (lines(b'{"a":' * 1_000_000), "not valid JSON"),
    "a number of 5,000 digits": (lines(b'{"content": ' + b"1" * 5000 + b"}\n"), "not valid JSON"),
    "a number beyond all": (stars(b"1e999"), "not a whole number of 64 bits"),
    "a number that is none": (stars(b"NaN"), "not a whole number of 64 bits"),
    "content that is an object": (lines(line(content={"a": 1})), "of type dict, not a string"),
    "half of a compressed file": (cut_gzip, "cannot be read"),
    "no gzip": (named("a.jsonl.gz", line() * 50), "cannot be read"),
    "no zstd": (named("a.jsonl.zst", line() * 50), "cannot be read"),
    "gzip of noise": (named("a.jsonl.gz", gzip.compress(bytes(range(256)) * 99)), "not valid JSON"),
    "UTF-16": (named("a.jsonl", line().decode().encode("utf-16")), "not valid JSON"),
    "blank lines": (named("a.jsonl", b"\n \n\r\n"), "hold no line"),
    "ids that come twice": (lines(line(), line()), "document ids are not unique"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_one_message(workbench: Workbench, tmp_path: Path, case: str) -> None:
    """When compiling, or by the task that reads it: what is wrong, and how to mend it."""
    make, said = REFUSED[case]
    with pytest.raises(UserError) as error:
        run(workbench, make(tmp_path))
    message = str(error.value)
    assert said in message
    assert "fix: " in message
    assert message.count("fix: ") == 1, message


# ---------------------------------------------------------------- many


@pytest.mark.slow
def test_a_million_tiny_files(workbench: Workbench, tmp_path: Path) -> None:
    """Rows of one shard: a few bytes each, half of them copies."""
    count = 1_000_000
    numbers = pa.array(range(count)).cast(pa.string())
    text = pc.binary_join_element_wise("x = ", pa.array([n // 2 for n in range(count)]).cast(pa.string()), "\n", "")
    paths = pc.binary_join_element_wise(numbers, ".py", "")
    source = parquet(tmp_path, {"repo": pa.repeat("r", count), "path": paths, "content": text})
    result = run(workbench, source, steps=(Admit(), Deduplicate(near=None), Filter(catalogue="none")))
    assert result.reasons == {"exact_duplicate": count // 2}
    assert len(result.kept) == count // 2
