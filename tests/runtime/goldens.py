"""What an operator wrote in its present version, as a short text: read, compared, written anew.

Not the experiments that are run for it (`golden_experiments`), nor the tests (`test_operator_goldens` and, of the back
ends that need the training environment, tests/stacks/test_goldens.py). One golden per operator, in
tests/golden/operators: its version, what the bytes depend on beside code and fixtures, and of each task the digests of
what it read and of what it wrote.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.plan import Plan, Task
from runtime.digest import hash_lines
from runtime.store import Store

GOLDEN = Path(__file__).parents[1] / "golden" / "operators"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("text.train_bpe", "smoke.tokenizer", "data.segment_web"), ("tokenizers",)),
    "data.train_web": ("fasttext-numpy2",),
    **dict.fromkeys(("train.torch", "eval.bits_per_byte", "eval.ngram"), ("torch",)),
    "train.megatron": ("torch", "megatron-core"),
    "train.nemo": ("torch", "megatron-core", "nemo-toolkit"),
}
"""Packages that learn something, so that another version may write other bytes, of this operator and of those below."""
COMPUTES = {"torch", "fasttext-numpy2"}
"""Those whose numbers differ from processor to processor."""


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


@attrs.frozen
class Made:
    """An experiment that has been run, and the digest of the text that it read.

    The text is the same everywhere where it lies in the repository (`shared`); else goldens hold where it is the same.
    What comes before an operator was run here, too, or it was `given`: then its packages do not matter.
    """

    plan: Plan
    store: Store
    text: str
    shared: bool = True
    given: bool = False

    def operators(self) -> set[str]:
        """Those of its tasks."""
        return {task.op.op_id for task in self.plan.tasks}

    def golden(self, op_id: str) -> Golden:
        """The golden of an operator as it is now."""
        tasks = [task for task in self.plan.tasks if task.op.op_id == op_id]
        found = {task.id: self._digests(task) for task in tasks}
        return Golden(ir.OPERATORS[op_id].op_version, self._where(tasks), found)

    def _digests(self, task: Task) -> tuple[str, str]:
        """Of all inputs, and the text of the experiment where it may change with the repository; of all outputs."""
        artifact = self.store.find(task.fingerprint)
        assert artifact is not None, task.id
        inputs = [f"{role}\0{one['digest']}" for role, each in artifact.manifest["inputs"].items() for one in each]
        text = [self.text] if self.shared else []
        return hash_lines([*text, *inputs])[:16], artifact.manifest["digest"][:16]

    def _where(self, tasks: list[Task]) -> str:
        """What the bytes depend on beside the code and what is in the repository."""
        above = {each.op.op_id for task in tasks for each in self._above(task)}
        packages = sorted({package for op_id in above for package in LIBRARIES.get(op_id, ())})
        said = [] if self.shared else [f"corpus {self.text}"]
        return ", ".join([*said, *map(_package, packages)]) or "anywhere"

    def _above(self, task: Task) -> list[Task]:
        """The task and all that it reads, directly or not, where that was run."""
        upstream = () if self.given else task.upstream
        return [task, *(each for name in upstream for each in self._above(self.plan.task(name)))]


def _package(name: str) -> str:
    return f"{name} {version(name)}" + (f" on {_processor(name)}" if name in COMPUTES else "")


def _processor(package: str) -> str:
    """What its arithmetic depends on: threads that share sums, instructions, and whose exponential is called."""
    import torch

    kind = torch.backends.cpu.get_cpu_capability()
    if package == "torch":
        return f"{len(os.sched_getaffinity(0))} x {kind}"
    return f"{kind} with {' '.join(platform.libc_ver())}"


def text_of(directory: Path) -> str:
    """A digest of the files below a directory."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return hash_lines(path.read_bytes().hex() for path in files)[:16]


def changed(before: Golden, after: Golden) -> list[str]:
    """Tasks that read the same and wrote something else under the same version."""
    if before.version != after.version:
        return []
    return [
        task
        for task, (read, wrote) in after.tasks.items()
        if task in before.tasks and before.tasks[task][0] == read and before.tasks[task][1] != wrote
    ]


def hold(op_id: str, after: Golden) -> None:
    """Fail where an operator's golden says otherwise, skip where it says nothing; UPDATE_GOLDEN=1 writes it."""
    before = Golden.read(op_id)
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
