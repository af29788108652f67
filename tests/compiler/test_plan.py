"""Plans survive JSON, hold nothing of the machine, and are refused where they cannot be read."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from compiler import ir
from compiler.canonical import fingerprint
from compiler.compile import compile_experiment
from compiler.errors import UserError
from compiler.load import load_spec
from compiler.plan import PLAN_FILE, Plan, _take_out, dumps, load, loads, save, seal

SPECS = Path(__file__).parents[2] / "specs"
SHIPPED = (
    "opencoder_mini.py",
    "opencoder_1_5b.py",
    "opencoder_8b.py",
    "ablations/dedup_level.py:file_level",
    "ablations/dedup_level.py:repository_level",
    "ablations/dedup_level.py:repository_then_chunk",
)


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> Plan:
    """The plan of each experiment that ships."""
    return compile_experiment(*load_spec(str(SPECS / request.param)))


# ---------------------------------------------------------------- there and back


def test_a_plan_survives_json(shipped: Plan) -> None:
    """As an object and as text."""
    text = dumps(shipped)
    assert loads(text) == shipped
    assert dumps(loads(text)) == text


def test_operators_of_every_kind_survive_json(shipped: Plan) -> None:
    """With the classes that they had, and so with their fingerprints."""
    again = loads(dumps(shipped))
    for before, after in zip(shipped.tasks, again.tasks, strict=True):
        assert type(after.op) is type(before.op)
        assert fingerprint(again.preimage(after)) == after.fingerprint == before.fingerprint


def test_a_plan_names_no_machine(shipped: Plan) -> None:
    """No absolute path, no host, no user, no time."""
    text = dumps(shipped)
    assert not re.search(r'"/', text)
    for word in (str(SPECS), str(Path.home()), socket.gethostname(), tempdir()):
        assert word not in text
    assert f'"{getpass.getuser()}"' not in text


def tempdir() -> str:
    return os.environ.get("TMPDIR", "/tmp")


def test_every_origin_is_a_line_of_a_spec(shipped: Plan) -> None:
    """Relative to the directory of the spec, and in it or above it."""
    for task in shipped.tasks:
        assert re.fullmatch(r"(\.\./)?[a-z0-9_]+\.py:\d+", task.origin), (task.id, task.origin)


def test_every_place_of_a_task_is_in_the_spec(shipped: Plan) -> None:
    """Otherwise a difference could never be its cause."""
    for task in shipped.tasks:
        for path in task.spec_paths:
            assert exists(shipped.spec, path.split(".")), (task.id, path)


def exists(described: Any, path: list[str]) -> bool:
    """Whether a described spec has such a place; an absent optional part counts as one."""
    if not path or described is None:
        return True
    inside = described.get("fields") or described.get("keyed") or described.get("map") or {}
    return path[0] in inside and exists(inside[path[0]], path[1:])


# ---------------------------------------------------------------- the same bytes anywhere

PROGRAM = """
import sys
from pathlib import Path
from compiler.compile import compile_experiment
from compiler.load import load_spec
from compiler.plan import save
specs, out = sys.argv[1:3]
for number, reference in enumerate(sys.argv[3:]):
    save(compile_experiment(*load_spec(f"{specs}/{reference}")), Path(out, str(number)))
"""


def compile_elsewhere(specs: str, out: Path, seed: str, cwd: Path) -> dict[str, bytes]:
    """plan.json of every shipped spec, by a process of its own."""
    command = [sys.executable, "-c", PROGRAM, specs, str(out), *SHIPPED]
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(SPECS.parent)}
    subprocess.run(command, cwd=cwd, env=environment, check=True)
    return {name: (out / str(number) / PLAN_FILE).read_bytes() for number, name in enumerate(SHIPPED)}


def test_the_same_spec_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    """Another process, seed of hashes, working directory, and another place with a name that breaks scripts."""
    weird = tmp_path / 'it\'s "a" $HOME; Ünïcode dir' / "specs"
    shutil.copytree(SPECS, weird, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "cwd").mkdir()
    first = compile_elsewhere(str(SPECS), tmp_path / "1", "1", SPECS.parent)
    second = compile_elsewhere(os.path.relpath(weird, tmp_path / "cwd"), tmp_path / "2", "2", tmp_path / "cwd")
    assert first == second


def test_how_the_spec_is_reached_does_not_matter(tmp_path: Path, mini_plan: Plan, monkeypatch) -> None:
    """Through a symbolic link, and by a relative path."""
    (tmp_path / "link").symlink_to(SPECS)
    assert dumps(compile_experiment(*load_spec(str(tmp_path / "link" / "opencoder_mini.py")))) == dumps(mini_plan)
    monkeypatch.chdir(SPECS)
    assert dumps(compile_experiment(*load_spec("opencoder_mini.py"))) == dumps(mini_plan)


# ---------------------------------------------------------------- what cannot be read


def changed(plan: Plan, **values: Any) -> str:
    return seal({**json.loads(dumps(plan)), **values})


def with_operator(plan: Plan, **values: Any) -> str:
    data = json.loads(dumps(plan))
    data["tasks"][0]["op"].update(values)
    return seal(data)


def test_another_format_is_refused(mini_plan: Plan) -> None:
    """With both versions, before anything else is looked at."""
    with pytest.raises(UserError, match=r"plan.json: format_version is 99, this ocspec reads 2") as error:
        loads(changed(mini_plan, format_version=99, news={}), "plan.json")
    assert error.value.fix == "compile the spec again"


@pytest.mark.parametrize(
    ("values", "named"),
    [({"version": 99}, "data.fetch_packages/99"), ({"op": "data.conjure"}, "data.conjure/1")],
)
def test_an_unknown_operator_is_refused_by_name(mini_plan: Plan, values: dict[str, Any], named: str) -> None:
    """Its id or its version."""
    with pytest.raises(UserError, match=f"it uses operator {named}, which this ocspec does not have"):
        loads(with_operator(mini_plan, **values))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"plan"', "{}"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    """Empty, cut, of another type or without its parts."""
    with pytest.raises(UserError, match="not a plan") as error:
        loads(text, "here/plan.json")
    assert error.value.where == "here/plan.json"


def test_a_cut_plan_is_refused(mini_plan: Plan) -> None:
    """Wherever it was cut."""
    text = dumps(mini_plan)
    for end in (1, len(text) // 2, len(text) - 2):
        with pytest.raises(UserError, match="not a plan"):
            loads(text[:end])


def test_wrong_values_are_named_by_their_place(mini_plan: Plan) -> None:
    """A field that no version had, a missing one, and a number that is none."""
    with pytest.raises(UserError, match=r"colour\) @ \$\.tasks\[0\]"):
        data = json.loads(dumps(mini_plan))
        data["tasks"][0]["colour"] = "red"
        loads(seal(data))
    with pytest.raises(UserError, match=r"missing.* @ \$\.tasks\[0\]\.op\.source"):
        data = json.loads(dumps(mini_plan))
        del data["tasks"][0]["op"]["source"]
        loads(seal(data))
    with pytest.raises(UserError, match=r"\$\.parameters"):
        loads(changed(mini_plan, parameters="many"))


def test_a_plan_that_was_edited_is_refused(mini_plan: Plan) -> None:
    """Whatever was changed, if only by a space: its fingerprints are no longer those of what it says."""
    text = dumps(mini_plan)
    assert "8000000" in text
    for edited in (
        text.replace("8000000", "8000001"),
        text.replace(" ", "  ", 1),
        text.replace('"digest"', '"digests"'),
        text[:-3] + ',\n"delta": []\n}\n',
    ):
        with pytest.raises(UserError, match="it is not as it was compiled: edited by hand, cut or damaged"):
            loads(edited)


def test_brackets_without_end_are_refused() -> None:
    """They would be a RecursionError."""
    with pytest.raises(UserError, match="not a plan"):
        loads('{"a": ' + "[" * 200_000)


def test_what_tasks_share_is_written_once_and_read_as_one(shipped: Plan) -> None:
    """Long values of operators, and queries; under their references in the tasks."""
    data = json.loads(dumps(shipped))
    assert len(data["shared"]) == len({json.dumps(value) for value in data["shared"]})
    again = loads(dumps(shipped))
    refined = [task.op for task in again.tasks if isinstance(task.op, ir.Refine) and len(task.op.rules) > 1]
    for op in refined:
        alike = [other for other in refined if other.rules == op.rules]
        assert all(other.rules is alike[0].rules for other in alike)


@pytest.mark.parametrize("shared", [None, [], {"0": 1}, "none"])
def test_a_plan_without_what_its_tasks_share_is_refused(shared: Any) -> None:
    """In one message."""
    plan = compile_experiment(*load_spec(str(SPECS / "opencoder_8b.py")))
    with pytest.raises(UserError, match="not a plan"):
        loads(changed(plan, shared=shared))


@pytest.mark.parametrize("number", [-1, 10**9, "0", None, [0]])
def test_a_reference_to_nothing_is_refused(number: Any) -> None:
    """Where somebody edited the file."""
    plan = compile_experiment(*load_spec(str(SPECS / "opencoder_8b.py")))
    data = json.loads(dumps(plan))
    holders = (holder for task in data["tasks"] for holder in (task["op"], task["sql"]))
    holder, name = next(
        (h, n) for h in holders for n, value in h.items() if isinstance(value, dict) and "$shared" in value
    )
    holder[name] = {"$shared": number}
    with pytest.raises(UserError, match="not a plan"):
        loads(seal(data))


def test_a_mapping_that_looks_like_a_reference_comes_back(mini_plan: Plan) -> None:
    """It is then itself what is referred to."""
    tasks = [{"op": {"caps": {"$shared": 0}}, "sql": {}}]
    shared = _take_out(tasks)
    assert tasks == [{"op": {"caps": {"$shared": 0}}, "sql": {}}]
    assert shared == [{"$shared": 0}]


def test_a_plan_on_disk(mini_plan: Plan, tmp_path: Path) -> None:
    """By its file or by its directory."""
    file = save(mini_plan, tmp_path)
    assert load(file) == load(tmp_path) == mini_plan


def test_files_that_hold_no_plan(tmp_path: Path) -> None:
    """None there, or not even text."""
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / PLAN_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a plan"):
        load(tmp_path)


# ---------------------------------------------------------------- looking things up


def test_tasks_and_stages_by_name(mini_plan: Plan) -> None:
    """And who reads whom."""
    assert mini_plan.task("code/sign").op.op_id == "data.sign"
    assert mini_plan.stage("anneal").task == "anneal/train"
    readers = {task.id for task in mini_plan.downstream("code/sign")}
    assert readers == {"code/hold-out", "code/deduplicate/edges", "code/deduplicate/cluster"}
    task = mini_plan.task("anneal/bits_per_byte-ngram")
    assert len(task.upstream) == len(set(task.upstream)) < len(task.inputs)


def test_a_changed_operator_is_a_changed_plan(mini_plan: Plan) -> None:
    """Text is as injective as fingerprints."""
    first, *rest = mini_plan.tasks
    assert isinstance(first.op, ir.FetchPackages)
    other = attrs.evolve(first, op=attrs.evolve(first.op, packages=first.op.packages[1:]))
    assert dumps(attrs.evolve(mini_plan, tasks=(other, *rest))) != dumps(mini_plan)
