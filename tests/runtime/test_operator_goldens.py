"""What operators write on the tiny corpus, by version: bytes that change without a new version fail here.

One golden per operator, in tests/golden/operators: version, and for each task the digest of what it read and of what
it wrote. UPDATE_GOLDEN=1 writes them anew, but refuses what changed under the same version on the same inputs. The
corpus is taken from Python's standard library, and what is trained depends on torch and processors: elsewhere the test
is skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.plan import Plan, Task
from runtime.digest import hash_lines
from runtime.run import Summary
from runtime.store import Store
from tests.runtime.conftest import Workbench

GOLDEN = Path(__file__).parents[1] / "golden" / "operators"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
NOT_IN_THE_EXPERIMENT = {
    "data.fetch_packages", "data.merge_signatures", "data.decontaminate", "data.sample_web", "data.segment_web",
    "data.train_web", "data.score_web", "data.expand_web", "data.settle_web", "data.recall_web",
    "text.import_tokenizer", "text.held_out", "instruct.read_pairs", "instruct.decontaminate", "smoke.tokenizer",
    "smoke.data", "train.nemo", "train.megatron", "eval.benchmark",
}  # fmt: skip
"""Operators that have no golden yet: the experiment does not use them."""


@attrs.frozen
class Golden:
    """Of one operator: its version, where it was run, and of each task the digests of what it read and wrote."""

    version: int
    where: str
    tasks: dict[str, tuple[str, str]]

    @classmethod
    def read(cls, op_id: str) -> Golden | None:
        """The golden of an operator, if there is one."""
        file = GOLDEN / f"{op_id}.txt"
        if not file.exists():
            return None
        first, second, *lines = file.read_text().splitlines()
        tasks = {task: (read, wrote) for task, read, wrote in (line.split() for line in lines)}
        return cls(int(first.partition("/")[2]), second, tasks)

    def write(self, op_id: str) -> None:
        """Keep it."""
        lines = [f"{op_id}/{self.version}", self.where]
        lines += [" ".join((task, *digests)) for task, digests in sorted(self.tasks.items())]
        GOLDEN.mkdir(parents=True, exist_ok=True)
        (GOLDEN / f"{op_id}.txt").write_text("\n".join(lines) + "\n")


def where(op_id: str, corpus: Path) -> str:
    """What the bytes depend on beside the code: the corpus, and for models torch and the processor."""
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    text = f"corpus {hash_lines(path.read_bytes().hex() for path in files)[:16]}"
    if not op_id.startswith(("train.", "eval.")):
        return text
    import torch

    processors = f"{len(os.sched_getaffinity(0))} x {torch.backends.cpu.get_cpu_capability()}"
    return f"{text}, torch {torch.__version__} on {processors}"


def seen(plan: Plan, store: Store, op_id: str, corpus: Path) -> Golden:
    """The golden of an operator as it is now."""

    def digests(task: Task) -> tuple[str, str]:
        artifact = store.find(task.fingerprint)
        assert artifact is not None, task.id
        inputs = (f"{role}\0{one['digest']}" for role, each in artifact.manifest["inputs"].items() for one in each)
        return hash_lines(inputs)[:16], artifact.manifest["digest"][:16]

    tasks = {task.id: digests(task) for task in plan.tasks if task.op.op_id == op_id}
    return Golden(ir.OPERATORS[op_id].op_version, where(op_id, corpus), tasks)


def changed(before: Golden, after: Golden) -> list[str]:
    """Tasks that read the same and wrote something else under the same version."""
    if before.version != after.version:
        return []
    return [
        task
        for task, (read, wrote) in after.tasks.items()
        if task in before.tasks and before.tasks[task][0] == read and before.tasks[task][1] != wrote
    ]


@pytest.mark.parametrize("op_id", sorted(set(ir.OPERATORS) - NOT_IN_THE_EXPERIMENT))
def test_bytes_change_with_the_version(
    op_id: str, finished: tuple[Workbench, Plan, Path, Summary], corpus: Path
) -> None:
    """What an operator writes is what its version wrote before."""
    bench, plan, _, _ = finished
    after, before = seen(plan, bench.store, op_id, corpus), Golden.read(op_id)
    assert after.tasks, f"{op_id} is not in the experiment any more"
    if before is not None and before.where == after.where:
        wrong = changed(before, after)
        assert not wrong, (
            f"what {op_id}/{after.version} writes has changed ({', '.join(wrong)}): raise its version in compiler/ir.py"
            f" in the same commit, then run this test with UPDATE_GOLDEN=1; if the code has not changed, it is a bug"
        )
    if UPDATE:
        after.write(op_id)
        return
    assert before is not None, "no golden: run with UPDATE_GOLDEN=1"
    assert before.version == after.version, f"{op_id} has a new version: run with UPDATE_GOLDEN=1"
    if before.where != after.where:
        pytest.skip(f"made with {before.where}; here is {after.where}")
    assert before.tasks == after.tasks, "what comes before it has changed: run with UPDATE_GOLDEN=1"


def test_every_operator_has_a_golden_or_is_named() -> None:
    """A new operator must be put into the experiment, or on the list."""
    assert {path.stem for path in GOLDEN.glob("*.*.txt")} == set(ir.OPERATORS) - NOT_IN_THE_EXPERIMENT


def test_a_change_under_the_same_version_is_seen_where_it_is_made() -> None:
    """Not in those that only read other bytes."""
    before = Golden(1, "here", {"a": ("1", "2"), "b": ("2", "3")})
    after = Golden(1, "here", {"a": ("1", "9"), "b": ("9", "8")})
    assert changed(before, after) == ["a"]
    assert changed(before, attrs.evolve(after, version=2)) == []
