"""Bad specs, bad data, bad disks, through the real command line: one message per problem, nothing half-written.

Not the rules' own tests: what each finds is in tests/compiler/rules.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compiler.plan import FORMAT_VERSION, seal
from runtime.store import Store
from tests.e2e.conftest import SPEC, TOP, Project, Result, module
from tests.forked import Forked

DIRECTORY = 'Directory(name="files", path="repositories")'
PARQUET = (DIRECTORY, 'Parquet(name="files", path="data/*.parquet")')
JSON_LINES = (DIRECTORY, 'JsonLines(name="files", path="data/*.jsonl")')
ADMIT = "steps=(Admit(),)"
DATA = "data=(code,),"
STAGES = "stages=(pretrain,)"
FINE_TUNE = (
    (STAGES, "stages=(pretrain, sft)"),
    (
        "experiment = Experiment(\n",
        """\
sft = FineTune(
    name="sft", instructions=("pairs",), epochs=1, steps=2, global_batch=2, max_length=32,
    schedule=Cosine(peak=1e-3, warmup_steps=1),
)
experiment = Experiment(
    instructions=(Instructions(name="pairs", path="pairs.jsonl", format="jsonl"),),
""",
    ),
)
IMPORTS = (
    *("compiler.compile", "compiler.load", "compiler.rules", "compiler.write"),
    *("ocspec.cli.checking", "ocspec.cli.compile", "ocspec.cli.diff", "ocspec.cli.submit"),
    *("runtime.data.lsh", "runtime.data.operators.mix"),
    *("runtime.data.operators.refine", "runtime.data.operators.sign", "runtime.data.operators.tokens"),
    *("runtime.dispatch.inline", "runtime.run", "runtime.training.torch_backend"),
)
Edit = tuple[str, str]
Setup = Callable[[Project], object]


# ---------------------------------------------------------------- what must hold


def refused(result: Result, *expected: tuple[str, ...]) -> None:
    """Exit code 1, and per problem one message: first where it is, then what, then the fix, and no more."""
    assert result.code == 1, result
    assert "Traceback" not in result.err and "internal error" not in result.err, result.err
    assert len(result.errors) == len(expected), result.err
    for error, (where, *said) in zip(result.errors, expected, strict=True):
        assert error.startswith(where), error
        assert "\n  fix: " in error, error
        for words in said:
            assert words in error, error


def snapshot(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def assert_nothing_half_written(root: Path) -> None:
    """What is in the store is whole and listed; no attempt is left."""
    left = [path for path in root.rglob("*") if path.name.endswith(".aside") or path.name.startswith(".")]
    assert left == []
    store = Store(root)
    keys = [path.name for path in (root / "artifacts").glob("*")]
    assert all(store.artifact(key) is not None for key in keys)
    assert not (root / "damaged").exists()


def built(project: Project) -> dict[str, Any]:
    """Manifests of the finished tasks, by task."""
    found = (json.loads(path.read_text()) for path in project.store.glob("artifacts/*/manifest.json"))
    return {manifest["task"]: manifest for manifest in found}


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    """What `compile`, `diff` and `submit` import, in a process to fork from."""
    with Forked(IMPORTS) as forked:
        yield forked


@pytest.fixture
def project(project: Project, forked: Forked) -> Project:
    """The project, whose many commands start in no time."""
    project.forked = forked
    return project


@pytest.fixture(scope="module")
def good_build(tmp_path_factory: pytest.TempPathFactory, forked: Forked) -> Path:
    """What `compile` wrote for the good spec."""
    project = Project(tmp_path_factory.mktemp("good"), forked)
    project.write_repositories()
    project.write_spec()
    assert project.compile().code == 0
    return project.root / "build"


@pytest.fixture
def compiled(project: Project, good_build: Path) -> Project:
    """A project whose good spec is compiled."""
    shutil.copytree(good_build, project.root / "build")
    (project.plan.parent / "base").write_text(f"{project.root}\n")
    return project


# ---------------------------------------------------------------- specs


class Bad(NamedTuple):
    """A spec and what is said of it: the text of the line at fault, and words of the message."""

    at: str
    says: tuple[str, ...]
    edits: tuple[Edit, ...]


BAD_SPECS = {
    "wrong field": Bad(
        "max_epoch=2", ("Part.max_epoch", "did you mean 'max_epochs'?"), (("weight=1", "weight=1, max_epoch=2"),)
    ),
    "wrong type": Bad("steps=2.5", ("Batches.steps", "integer", "2.5"), (("steps=2", "steps=2.5"),)),
    "negative weight": Bad("weight=-1", ("Part.weight", "greater than 0", "-1"), (("weight=1", "weight=-1"),)),
    "zero weight": Bad("weight=0", ("Part.weight", "greater than 0"), (("weight=1", "weight=0"),)),
    "a weight that is no number": Bad("nan", ("Part.weight", "finite"), (("weight=1", 'weight=float("nan")'),)),
    "unknown data set": Bad(
        '"cod"', ("no data set is called 'cod'", "did you mean 'code'?"), (('dataset="code"', 'dataset="cod"'),)
    ),
    "wrong path": Bad("repositorys", ("/repositorys is not a directory",), (("repositories", "repositorys"),)),
    "glob without match": Bad("*.jsonl", ("no files found at", "/data/*.jsonl", "`**` for any depth"), (JSON_LINES,)),
    "file for a directory": Bad("spec.py", ("/spec.py is not a directory",), (("repositories", "spec.py"),)),
    "no repository level": Bad("alpha", ("no files in sub-directories",), (("repositories", "repositories/alpha"),)),
    "variable not set": Bad(
        "NOWHERE",
        ("the environment does not set NOWHERE", "set NOWHERE"),
        (("repositories", "${NOWHERE}/repositories"),),
    ),
    "dollar sign": Bad("$/", ("a $ is not followed by a name", "$$"), (("repositories", "$/repositories"),)),
    "budget above the directory": Bad(
        "weight=1", ("12,800,000 tokens", "'code'", "lower steps"), (("steps=2", "steps=200_000"),)
    ),
    "annealing that goes up": Bad(
        "Decay(end=1e-2)",
        ("ends at 0.01", "not below the 0.001", "lower Decay.end"),
        (
            (
                STAGES,
                "stages=(pretrain, Anneal(name='anneal', mixture=mixture, batches=pretrain.batches,\n"
                "        schedule=Decay(end=1e-2)))",
            ),
        ),
    ),
    "sequence beyond the context": Bad(
        "pretrain = Pretrain(",
        ("sequences of 128 tokens, the model takes 64",),
        (("sequence_length=32", "sequence_length=128"),),
    ),
    "batch not divisible": Bad(
        "pretrain = Pretrain(",
        ("global batch of 2", "micro_batch 4", "use 4"),
        (("warmup_steps=1),", "warmup_steps=1),\n    micro_batch=4,"),),
    ),
    "held-out pattern without match": Bad(
        "hold_out=",
        ("no repository matches the held-out pattern 'betta'", "did you mean 'beta'?"),
        ((DATA, f'{DATA}\n    hold_out=HoldOut(repositories=("alpha", "betta")),'),),
    ),
    "nothing held out to measure on": Bad(
        "evaluations=",
        ("none are held out", "hold_out=HoldOut"),
        ((DATA, f"{DATA}\n    evaluations=(BitsPerByte(),),"),),
    ),
    "unknown signal": Bad(
        "num_lins",
        ("no signal is called 'num_lins'", "did you mean 'num_lines'?"),
        ((ADMIT, 'steps=(Filter(rules=(Rule(name="short", signal="num_lins", comparison="<", threshold=9),)),)'),),
    ),
    "a spec that raises": Bad(
        "1 / 0", ("the spec raised ZeroDivisionError: division by zero",), (("source = ", "x = 1 / 0\nsource = "),)
    ),
    "a spec that exits": Bad(
        "sys.exit", ("the spec raised SystemExit: 3",), (("source = ", "import sys; sys.exit(3)\nsource = "),)
    ),
    "syntax error": Bad("mixture = ", ("invalid syntax", "correct the syntax"), (("mixture = M", "mixture = = M"),)),
}


@pytest.mark.parametrize("name", BAD_SPECS)
def test_a_bad_spec_is_one_message_with_its_line(compiled: Project, name: str) -> None:
    """Where, what, the numbers and the fix; the last good plan stays as it is."""
    before = snapshot(compiled.root / "build")
    at, says, edits = BAD_SPECS[name]
    compiled.write_spec(*edits)
    refused(compiled.compile(), (f"spec.py:{compiled.line(at)}: ", *says))
    assert snapshot(compiled.root / "build") == before
    assert not compiled.store.exists()


def test_problems_of_objects_are_listed_together(compiled: Project) -> None:
    """All that is wrong with the objects of a spec, in the order in which they are made."""
    compiled.write_spec(
        ("weight=1", "weight=-1"),
        ("warmup_steps=1", "warmup_steps=-1"),
        ("vocab_size=270", "vocab_size=20"),
        ("source,)", "source,), bases=()"),
    )
    expected = [("bases=()", "Dataset.bases"), ("weight=-1", "Part.weight")]
    expected += [("warmup_steps=-1", "WSD.warmup_steps"), ("vocab_size=20", "TrainedBPE.vocab_size")]
    refused(compiled.compile(), *[(f"spec.py:{compiled.line(at)}: {what}",) for at, what in expected])


def test_problems_of_sources_and_rules_are_listed_together(compiled: Project) -> None:
    """A path that is not there does not hide what the rules find."""
    compiled.write_spec(
        ("repositories", "nowhere"),
        ('dataset="code"', 'dataset="cod"'),
        ("sequence_length=32", "sequence_length=128"),
        ("warmup_steps=1),", "warmup_steps=1),\n    micro_batch=4,"),
        (DATA, f"{DATA}\n    evaluations=(BitsPerByte(),),"),
    )
    expected = [('"cod"', "[OC001]"), ("pretrain = Pretrain(", "[OC005]"), ("pretrain = Pretrain(", "[OC006]")]
    expected += [("evaluations=", "[OC008]"), ("nowhere", "is not a directory")]
    refused(compiled.compile(), *[(f"spec.py:{compiled.line(at)}: ", what) for at, what in expected])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            SPEC.replace("experiment = Experiment(", "def make(): return Experiment("),
            ("0 experiments", "define experiment = "),
        ),
        (SPEC.replace("experiment = ", "a = ") + 'b = a.replace(name="b")\n', ("2 experiments (a, b)", "spec.py:a")),
        ("", ("0 experiments", "define experiment = ")),
        ("\0", ("null bytes",)),
    ],
)
def test_a_spec_without_one_experiment(compiled: Project, text: str, says: tuple[str, ...]) -> None:
    """None, or more than one: the file is at fault, and no line of it."""
    compiled.write("spec.py", text)
    refused(compiled.compile(), ("spec.py", *says))


def test_a_bad_spec_in_a_diff(compiled: Project) -> None:
    """`diff` compiles its sides, and refuses as `compile` does."""
    compiled.write_spec(("weight=1", "weight=-1"))
    refused(compiled.ocspec("diff", "build/small", "spec.py"), ("spec.py:5: Part.weight",))


# ---------------------------------------------------------------- sources that compiling sees


def table(content: Any = None, rows: int = 20) -> pa.Table:
    """A table of documents."""
    text = [module(f"v{number}") for number in range(rows)]
    paths = [f"m{number}.py" for number in range(rows)]
    return pa.table({"repo": ["r"] * rows, "path": paths, "content": text if content is None else content})


def turn_off(project: Project, rule: str) -> None:
    """Let pass what a compile-time rule would refuse: here it is the worker that is tested."""
    project.write("ocspec.toml", f'[rules]\n{rule} = "off"\n')


def write_parquet(project: Project, data: pa.Table | None = None, name: str = "data/a.parquet") -> Path:
    """A Parquet file in the project."""
    path = project.write(name, b"")
    pq.write_table(table() if data is None else data, path)
    return path


def truncate(project: Project) -> None:
    """The first half of a Parquet file."""
    path = write_parquet(project)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def break_footer(project: Project) -> None:
    """A Parquet file whose footer is noise."""
    path = write_parquet(project)
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[-8:-4], "little")
    data[-8 - length : -8] = b"\x55" * length
    path.write_bytes(data)


def empty_directory(project: Project) -> None:
    """No repository in the directory."""
    shutil.rmtree(project.root / "repositories")
    (project.root / "repositories").mkdir()


BAD_FILES: dict[str, tuple[Edit, Setup, tuple[str, ...]]] = {
    "truncated Parquet": (PARQUET, truncate, ("data/a.parquet (", " bytes)", "not a whole Parquet file", "truncated")),
    "not Parquet": (
        PARQUET,
        lambda p: p.write("data/a.parquet", "text " * 9),
        ("a.parquet (45 bytes)", "not a whole Parquet file"),
    ),
    "damaged footer": (PARQUET, break_footer, ("data/a.parquet (", "its footer cannot be parsed")),
    "no rows": (
        PARQUET,
        lambda p: write_parquet(p, table().slice(0, 0)),
        ("'files' has no documents", "files: 1, rows: 0"),
    ),
    "no bytes": (JSON_LINES, lambda p: p.write("data/a.jsonl", ""), ("'files' has no documents", "files: 1, bytes: 0")),
    "empty directory": (
        (DIRECTORY, DIRECTORY),
        empty_directory,
        ("'files' has no documents", "no files in sub-directories"),
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_source_is_refused_when_compiling(compiled: Project, name: str) -> None:
    """The line of the source, and the path of the data."""
    edit, setup, says = BAD_FILES[name]
    compiled.write_spec(edit)
    setup(compiled)
    before = snapshot(compiled.root / "build")
    refused(compiled.compile(), (f"spec.py:{compiled.line('source = ')}: ", str(compiled.root), *says))
    assert snapshot(compiled.root / "build") == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file(compiled: Project) -> None:
    """The file is named."""
    (compiled.root / "repositories/alpha/m0.py").chmod(0)
    refused(compiled.compile(), ("spec.py:3: ", "alpha/m0.py", "Permission denied"))


# ---------------------------------------------------------------- sources that only reading sees


def write_lines(*more: str) -> Setup:
    """A JSON Lines file of 20 good documents, and more lines."""

    def write(project: Project) -> None:
        rows = [json.dumps({"repo": "r", "path": f"m{n}.py", "content": module(f"v{n}")}) for n in range(20)]
        project.write("data/a.jsonl", "".join(f"{row}\n" for row in (*rows, *more)))

    return write


def two_tables(project: Project) -> None:
    """A second file whose content is a list of numbers."""
    write_parquet(project)
    write_parquet(project, table(content=[[1]] * 20), "data/b.parquet")


def overwrite_pages(project: Project) -> None:
    """Noise in the middle of a Parquet file; its footer is whole."""
    path = write_parquet(project)
    data = bytearray(path.read_bytes())
    data[200:1200] = b"\x55" * 1000
    path.write_bytes(data)


def twice(project: Project) -> None:
    """Two documents of one repository and path."""
    write_parquet(project, pa.concat_tables([table(), table().slice(3, 1)]))


SHORT = 'Filter(catalogue="none", rules=(Rule(name="short", signal="num_lines", comparison="<", threshold=99),))'
BAD_DATA: dict[str, tuple[tuple[Edit, ...], Setup, tuple[str, ...]]] = {
    "missing content column": (
        (PARQUET,),
        lambda p: (write_parquet(p, table().rename_columns(["repo", "path", "contents"])), turn_off(p, "OC031")),
        (
            "code/sign: ",
            "data/a.parquet: no column 'content'",
            "'repo', 'path', 'contents'; did you mean 'contents'?",
            "columns.content",
        ),
    ),
    "retyped column": (
        (PARQUET,),
        lambda p: write_parquet(p, table(content=[1.5] * 20)),
        ("code/sign: ", "data/a.parquet: column 'content' has type double, which is no text"),
    ),
    "retyped column in the second file": (
        (PARQUET,),
        two_tables,
        ("code/sign: ", "data/b.parquet: column 'content' has type list"),
    ),
    "damaged pages": (
        (PARQUET,),
        overwrite_pages,
        ("code/sign: ", "data/a.parquet (", "cannot be read as Parquet", "copy or write"),
    ),
    "bad JSON": (
        (JSON_LINES,),
        write_lines('{"content": "x'),
        ("code/sign: ", "data/a.jsonl:21: not valid JSON", "one JSON object a line"),
    ),
    "JSON nested too deeply": (
        (JSON_LINES,),
        write_lines("[" * 100_000),
        ("code/sign: ", "data/a.jsonl:21: not valid JSON"),
    ),
    "a number for text": (
        (JSON_LINES,),
        write_lines('{"content": 3}'),
        ("code/sign: ", "data/a.jsonl:21: 'content' is of type int"),
    ),
    "duplicate ids": (
        (PARQUET,),
        twice,
        ("code/refine: ", "document ids are not unique: 'files/r/m3.py' 2 times", "map doc_id"),
    ),
    "duplicate ids to deduplicate": (
        (PARQUET, (ADMIT, "steps=(Admit(), Deduplicate(near=None))")),
        twice,
        ("code/deduplicate/edges: ", "document ids are not unique: 'files/r/m3.py' 2 times"),
    ),
    "budget above the Parquet": (
        (PARQUET, ("steps=2", "steps=20_000")),
        write_parquet,
        (
            "pretrain/mix: data set code: 40000 sequences",
            "windows of 32 tokens",
            "more than the 1 allowed",
            "lower the budget",
        ),
    ),
    "vocabulary above the data": (
        (("vocab_size=270", "vocab_size=50_000"),),
        lambda p: None,
        ("tokenizer: ", "ids, not of 50000", "at most 792"),
    ),
    "all too large": (
        ((ADMIT, "steps=(Admit(max_bytes=3),)"),),
        lambda p: None,
        ("tokenizer: no document of data set 'code' is left", "code/sign kept 0 of 8 (too_large 8)", "loosen the step"),
    ),
    "all filtered": (
        ((ADMIT, f"steps=(Admit(), {SHORT})"),),
        lambda p: None,
        (
            "tokenizer: no document of data set 'code' is left",
            "code/sign kept 8 of 8; code/refine kept 0 of 8 (short 8)",
        ),
    ),
    "all held out": (
        ((DATA, f'{DATA}\n    hold_out=HoldOut(repositories=("*",)),'),),
        lambda p: turn_off(p, "OC023"),
        ("tokenizer: no document of data set 'code' is left", "code/refine kept 8 of 8; these 8 are held out"),
    ),
    "pairs that do not fit": (
        FINE_TUNE,
        lambda p: p.write("pairs.jsonl", json.dumps({"instruction": "word " * 99, "output": "x"}) + "\n"),
        ("sft/encode-pairs: ", "no instruction pair of 'pairs' fits 32 tokens", "all 1 are longer", "raise max_length"),
    ),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_stops_its_task_with_one_message(project: Project, name: str) -> None:
    """The task, the path of the data, the numbers and the fix; what was finished before stays, and nothing torn."""
    edits, setup, says = BAD_DATA[name]
    project.write_spec(*edits)
    setup(project)
    assert project.compile().code == 0
    plan = project.plan.read_bytes()
    result = project.submit()
    refused(result, says)
    failed = says[0].partition(":")[0]
    assert "1 failed" in result.out and failed not in built(project)
    assert_nothing_half_written(project.store)
    assert project.plan.read_bytes() == plan


def test_a_worker_process_says_the_same(project: Project) -> None:
    """Shards that run as processes of their own: the message comes through, and where the log is."""
    project.forked = None  # every process is a fresh one
    project.write_spec(JSON_LINES)
    write_lines('{"content": "x')(project)
    assert project.compile().code == 0
    result = project.ocspec("submit")
    refused(result, ("code/sign: ", "data/a.jsonl:21: not valid JSON", "log: build/small/logs/code--sign/0.log"))
    assert_nothing_half_written(project.store)


def nested_calls(depth: int) -> str:
    """Calls within calls, on lines that no rule of thumb drops."""
    letters = str.maketrans("0123456789", "abcdefghij")
    names = [str(number).translate(letters) for number in range(depth)]
    opened = "".join(f"call_{name}(argument_{name},\n" for name in names)
    return f"outcome = {opened}" + f"{')' * 100}\n" * (depth // 100)


def write_odd_files(project: Project) -> None:
    """Files that are no text, or none that a filter keeps, beside good ones."""
    files: dict[str, str | bytes] = {
        "nul.py": b"x = 1\0\n" * 99,
        "latin.py": b"caf\xe9 = 1\n" * 99,
        "late.py": b"x = 1\n" * 200_000 + b"\xff",
        "empty.py": "",
        "line.py": 'x = "' + "a" * 7_000_000 + '"\n',
        "large.py": "value = 1\n" * 900_000,
        "brackets.json": "[" * 50_000 + "]" * 50_000,
        "nested.py": nested_calls(3000),
        "notes.unknown": "no language\n",
    }
    for name, content in files.items():
        project.write(f"repositories/odd/{name}", content)


def test_files_that_are_no_text_are_dropped_and_the_run_goes_on(project: Project) -> None:
    """Each with its reason; every other document is trained on, also one that nests 3000 calls."""
    project.write_spec((ADMIT, "steps=(Admit(), Redact(), Filter())"))
    write_odd_files(project)
    assert project.compile().code == 0
    result = project.submit()
    assert result.code == 0, result.err
    assert result.errors == [] and "7 ran, 0 reused, 0 cut off, 0 failed" in result.out
    dropped = {
        row["doc_id"].rpartition("/")[2]: (row["step"], row["rule"])
        for path in project.store.glob("artifacts/*/dropped/*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert dropped == {
        "nul.py": ("admit", "nul_bytes"),
        "latin.py": ("admit", "undecodable"),
        "late.py": ("admit", "undecodable"),
        "empty.py": ("admit", "empty"),
        "large.py": ("admit", "too_large"),
        "notes.unknown": ("admit", "unknown_language"),
        "line.py": ("filter", "size_file_byte_max"),
        "brackets.json": ("filter", "num_chars_max_data"),
    }
    assert built(project)["code/pack"]["stats"]["documents"] == 9


# ---------------------------------------------------------------- stores, profiles and plans


def test_a_store_that_is_a_file(compiled: Project) -> None:
    """The path of the store, and no task runs."""
    compiled.write("store", "not a directory")
    result = compiled.submit("--store", "store")
    refused(result, ("store: ", "a store is a directory, and store is none", "give another --store"))
    assert (compiled.root / "store").read_text() == "not a directory"


PROFILES: dict[str, tuple[str | bytes, str]] = {
    "unknown": (
        "[profiles.cluster]\nworkers = 1\n",
        "no profile 'clster'; there are: cluster, local\n  fix: did you mean 'cluster'?",
    ),
    "a wrong type": (
        '[profiles.clster]\nworkers = "x"\n',
        "profile 'clster': invalid value for type, expected int @ $.workers",
    ),
    "a wrong key": ("[profiles.clster]\nworker = 1\n", "extra fields found (worker)"),
    "no table": ("[profiles]\nclster = 3\n", "profiles.clster is 3, not a table"),
    "no tables": ("profiles = 3\n", "profiles is 3, not a table"),
    "no TOML": ("[profiles\n", "cannot be read (Expected ']'"),
    "no text": (b"\xff\xfe", "cannot be read ('utf-8' codec"),
}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("verb", ["compile", "submit"])
def test_a_profile_that_cannot_be_used(compiled: Project, name: str, verb: str) -> None:
    """The settings file and what is wrong in it; nothing is compiled or run."""
    text, said = PROFILES[name]
    compiled.write("ocspec.toml", text)
    before = snapshot(compiled.root / "build")
    argv = ("compile", "spec.py") if verb == "compile" else ("submit",)
    refused(compiled.ocspec(*argv, "--profile", "clster"), (f"{compiled.root}/ocspec.toml: ", said))
    assert snapshot(compiled.root / "build") == before
    assert not compiled.store.exists()


def test_submit_without_compile(project: Project) -> None:
    """Nothing is compiled yet."""
    refused(project.submit(), ("build: nothing is compiled yet", "run `ocspec compile SPEC`"))


PLANS: dict[str, tuple[Callable[[str], str], str]] = {
    "not JSON": (lambda text: "plan", "not a plan (Expecting value: line 1 column 1"),
    "cut": (lambda text: text[: len(text) // 2], "not a plan ("),
    "a list": (lambda text: "[]", "not a plan (no format_version)"),
    "another format": (
        lambda text: text.replace(f'"format_version": {FORMAT_VERSION}', '"format_version": 9'),
        f"format_version is 9, this ocspec reads {FORMAT_VERSION}",
    ),
    "another operator": (
        lambda text: seal(json.loads(text.replace('"data.sign"', '"data.sing"'))),
        "operator data.sing/",
    ),
    "edited": (lambda text: text.replace('"shards": 1', '"shards": 2', 1), "it is not as it was compiled: edited"),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_cannot_be_read(compiled: Project, name: str) -> None:
    """The plan's path; compiling again helps."""
    change, said = PLANS[name]
    text = compiled.plan.read_text()
    assert change(text) != text
    compiled.plan.write_text(change(text))
    refused(compiled.submit(), ("build/small/plan.json: ", said, "compile the spec again"))
    assert not compiled.store.exists()


@pytest.mark.parametrize("how", ["a file more", "gone"])
def test_a_source_that_changed_since_compiling(compiled: Project, how: str) -> None:
    """Refused before anything runs, with the path of the data."""
    if how == "gone":
        shutil.rmtree(compiled.root / "repositories")
        refused(compiled.submit(), ("code/sign: ", f"{compiled.root}/repositories is not a directory"))
    else:
        compiled.write("repositories/alpha/more.py", "x = 1\n")
        said = ("source 'files' has changed since the plan was compiled", "`ocspec compile`")
        refused(compiled.submit(), (f"{compiled.root}/repositories: ", *said))
    assert not compiled.store.exists()


def test_the_full_scale_plan_is_refused_here(project: Project) -> None:
    """Every operator without a runtime by name, and the data that is not on this machine."""
    compiled = project.ocspec("compile", str(TOP / "specs" / "opencoder_8b.py"), CORPUS="/nowhere")
    assert compiled.code == 0, compiled.err
    environment = {name: value for name, value in os.environ.items() if name != "CORPUS"}
    command = [sys.executable, "-m", "ocspec.cli", "submit"]
    done = subprocess.run(
        command,
        cwd=project.root,
        env={**environment, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )
    result = Result(done.returncode, done.stdout, done.stderr)
    operators = [error.split()[1] for error in result.errors if error.startswith("operator ")]
    assert set(operators) == {"eval.benchmark"}
    others = [error for error in result.errors if not error.startswith("operator ")]
    assert len(others) == 1 and others[0].startswith("the environment variable CORPUS is not set; needed by github,")
    refused(result, *[("",)] * (len(operators) + 1))
    assert not project.store.exists()


# ---------------------------------------------------------------- no space


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB, which `resize` changes."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(mount)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting takes root")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def resize(disk: Path, kilobytes: int) -> None:
    """Give a small disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Write a file until nothing more fits."""
    path = disk / "fill"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return path


def test_a_full_disk_is_one_message_and_the_next_run_finishes(compiled: Project, small_disk: Path) -> None:
    """Where space ran out; with more of it, what was finished is reused."""
    compiled.store = small_disk / "store"
    result = compiled.submit("--store", str(compiled.store))
    refused(
        result, ("pretrain/train: no space left for pretrain/train in", str(compiled.store), "choose another --store")
    )
    assert_nothing_half_written(compiled.store)
    assert "pretrain/train" not in built(compiled)
    resize(small_disk, 2048)
    again = compiled.submit("--store", str(compiled.store))
    assert again.code == 0, again.err
    assert "1 ran, 6 reused" in again.out
    assert_nothing_half_written(compiled.store)


def test_a_limit_on_file_sizes_is_one_message(compiled: Project) -> None:
    """As a quota would do it, where nothing can be mounted; without the limit the next run finishes."""
    command = f"ulimit -f 8; exec {shlex.quote(sys.executable)} -m ocspec.cli submit --inline"
    env = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=compiled.root, env=env, capture_output=True, text=True, check=False
    )
    result = Result(done.returncode, done.stdout, done.stderr)
    refused(result, ("code/refine: no space left for code/refine in", str(compiled.store), "File too large"))
    assert set(built(compiled)) == {"code/sign"}
    assert_nothing_half_written(compiled.store)
    again = compiled.submit()
    assert again.code == 0 and "6 ran, 1 reused" in again.out, again


@pytest.mark.parametrize("argv", [("compile", "spec.py"), ("submit", "--inline")])
def test_no_space_for_the_plan_and_its_journal(compiled: Project, small_disk: Path, argv: tuple[str, ...]) -> None:
    """The working directory is full: one message, and what was there stays as it was."""
    resize(small_disk, 1024)
    shutil.move(compiled.root / "build", small_disk / "build")
    (compiled.root / "build").symlink_to(small_disk / "build")
    before = snapshot(small_disk)
    filling = fill(small_disk)
    refused(compiled.ocspec(*argv), ("", "No space left on device"))
    filling.unlink()
    after = {name: data for name, data in snapshot(small_disk).items() if "/journal/" not in name}
    assert after == before
