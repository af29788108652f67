"""Fingerprints of tasks: from the operator and from what it reads, to the end of the graph."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from compiler.canonical import encode, fingerprint, operator_digest, task_preimage
from compiler.plan import Plan


def test_each_task_has_its_own(mini_plan: Plan) -> None:
    """And it is that of its pre-image."""
    assert len({task.fingerprint for task in mini_plan.tasks}) == len(mini_plan.tasks)
    identity: dict[str, str] = {}
    for task in mini_plan.tasks:
        preimage = task_preimage(task.op, task.by_role(identity))
        assert preimage == mini_plan.preimage(task)
        identity[task.id] = fingerprint(preimage)
        assert task.fingerprint == identity[task.id]
        assert len(task.fingerprint) == 64
        assert task.operator == operator_digest(encode(preimage[1]))


def test_a_change_of_content_reaches_everything_below(workplace: Path, compiled: Callable[[str], Plan]) -> None:
    """One byte of one file, and nothing that does not read it."""
    text = """
tree = code(name="tree", sources=(Directory(name="tree", path="repositories"),))
experiment = small(pretrain(mixture=mix("code", "tree")), data=(code(), tree))
"""
    before = compiled(text)
    with (workplace / "repositories" / "alpha" / "main.py").open("a") as file:
        file.write("#")
    after = compiled(text)
    same = {task.id for task in after.tasks if task.fingerprint == before.task(task.id).fingerprint}
    assert same == {"code/sign", "code/refine"}


def test_times_places_and_names_of_sources_files_are_not_content(
    workplace: Path, compiled: Callable[[str], Plan]
) -> None:
    """The same files elsewhere, touched, and reached by another glob."""
    text = 'experiment = small(data=(code(sources=(JsonLines(name="files", path="{}"),)),))'
    before = compiled(text.format("files.jsonl"))
    (workplace / "deep" / "er").mkdir(parents=True)
    shutil.copy(workplace / "files.jsonl", workplace / "deep" / "er")
    os.utime(workplace / "deep" / "er" / "files.jsonl", (1, 1))
    after = compiled(text.format("deep/er/*.jsonl"))
    assert [task.fingerprint for task in after.tasks] == [task.fingerprint for task in before.tasks]


def test_the_text_of_a_spec_does_not_matter(compiled: Callable[[str], Plan]) -> None:
    """Comments, names of variables, order of arguments, defaults written out, and a function in between."""
    one = compiled("""
steps = (Admit(max_bytes=5_000), Deduplicate())
experiment = small(data=(code(*steps),))
""")
    other = compiled("""
# The same, in other words.
def data_set(size):
    return Dataset(
        steps=(
            Admit(languages=(), max_bytes=size * 1000),
            Deduplicate(near=MinHash(rows=128, bands=16, seed=1), exact=True, granularity="file"),
        ),
        sources=(JsonLines(path="./files.jsonl", name="files"),),
        name="code",
    )
experiment = small(data=(data_set(5),))
""")
    assert [task.fingerprint for task in one.tasks] == [task.fingerprint for task in other.tasks]


def test_an_edited_helper_is_seen(workplace: Path, compiled: Callable[[str], Plan]) -> None:
    """What a spec imports is part of what it says."""
    found = set()
    for size in (1000, 2000):
        (workplace / "helper.py").write_text(f"SIZE = {size}\n")
        plan = compiled("import helper\nexperiment = small(data=(code(Admit(max_bytes=helper.SIZE)),))")
        found.add(plan.task("code/sign").fingerprint)
    assert len(found) == 2


def test_two_parameters_swapped_are_seen(compiled: Callable[[str], Plan]) -> None:
    """Values alone do not make an identity."""
    one, other = (
        compiled(f"experiment = small(data=(code(Deduplicate(near=MinHash(bands={a}, rows={b}))),))").task("code/sign")
        for a, b in ((8, 4), (4, 8))
    )
    assert one.fingerprint != other.fingerprint
