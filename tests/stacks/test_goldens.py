"""What NeMo and Megatron write, by version: the goldens of tests/runtime/test_operator_goldens.py for two back ends.

Three stages of a rehearsal in the worker's own processes. What they read is written here, from text of the repository:
the tasks that would make it need the data environment. Skipped where torch, a back end or the processor is another one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from compiler import ir
from compiler.compile import compile_experiment
from compiler.plan import Plan, Task
from compiler.profile import Profile
from compiler.smoke import smoke
from compiler.write import write_plan
from runtime import digest, worker
from runtime.dispatch.local import LocalDispatcher
from runtime.journal import Journal
from runtime.run import run_plan
from runtime.store import RESULT, Store
from tests.runtime.golden_experiments import TEXT, rehearsed
from tests.runtime.goldens import Made, hold
from tests.stacks.bench import write_tokens

TOKENIZER = Tokenizer.from_file(str(TEXT / "tokenizer.json"))


@pytest.mark.parametrize("backend", ["megatron", "nemo"])
def test_bytes_change_with_the_version(tmp_path: Path, backend: str) -> None:
    """From nothing, from a state in the middle of the stage before, and from its weights on answers only."""
    plan, store = smoke(compile_experiment(rehearsed(backend), tmp_path)), Store(tmp_path / "store")
    path = write_plan(plan, tmp_path / "build", tmp_path, Profile())
    journal = Journal(path.parent / "journal")
    for task in plan.tasks:
        if not isinstance(task.op, ir.TrainOp):
            publish(plan, task, store, journal)
    summary = run_plan(plan, store, LocalDispatcher(path, store.root, path.parent / "logs"), journal, print)
    assert set(summary.ran) == {"pretrain/train", "anneal/train", "tune/train"}, summary
    hold(f"train.{backend}", Made(plan, store, "", given=True).golden(f"train.{backend}"))


def publish(plan: Plan, task: Task, store: Store, journal: Journal) -> None:
    """Put an artefact in the place of what a task before training would make."""
    inputs = worker.gather(task, plan, store)
    key, preimage = worker.task_key(task, inputs)
    with store.attempt(key, 1, 0) as directory:
        assert directory is not None
        (output,) = task.op.outputs
        (out := directory / "out" / output).mkdir(parents=True)
        write(task.op, out)
        result = {"outputs": {output: digest.digest_output(out, "files")}, "stats": {}, "timing": {}}
        (directory / RESULT).write_text(json.dumps(result))
    worker.publish_if_complete(plan, task, key, preimage, inputs, store, journal)


def write(op: ir.Operator, out: Path) -> None:
    """A tokenizer, token files of text or of pairs, or a draw."""
    if isinstance(op, ir.SmokeTokenizer):
        shutil.copy(TEXT / "tokenizer.json", out)
    elif isinstance(op, ir.SmokeData):
        write_tokens(out, samples(op, out) if op.num_samples else documents(op.dataset))
    elif isinstance(op, ir.DrawSamples):
        numbers = np.arange(op.steps * op.global_batch)
        draw(out, op.datasets, [(op.sequence_length, numbers % 3)])
    else:
        assert isinstance(op, ir.Draw)
        phases = [(phase.sequence_length, np.arange(phase.instances) * 37 % 300) for phase in op.phases]
        draw(out, tuple(share.dataset for share in op.shares), phases)


def documents(dataset: str) -> list[np.ndarray]:
    """Modules of the packages, or pages of the crawl."""
    if dataset == "code":
        texts = [path.read_text() for path in sorted((TEXT / "packages").rglob("*.py"))]
    else:
        texts = [row["text"] for row in rows("pages") if row["text"]]
    return [encoded(text) for text in texts]


def samples(op: ir.SmokeData, out: Path) -> list[np.ndarray]:
    """Pairs, cut to the stage's length, with the position at which each answer starts."""
    whole = [row for row in rows("pairs") if row["instruction"]]
    pairs = [(encoded(row["instruction"]), encoded(row["output"])) for row in whole]
    np.save(out / "answer_start.npy", np.array([len(question) for question, _ in pairs], np.int32))
    return [np.concatenate(pair)[: op.max_length] for pair in pairs]


def encoded(text: str) -> np.ndarray:
    """Its token ids."""
    return np.array(TOKENIZER.encode(text, add_special_tokens=False).ids, np.uint16)


def rows(name: str) -> list[dict[str, str]]:
    """Of a file of JSON Lines among the fixtures."""
    return [json.loads(line) for line in (TEXT / f"{name}.jsonl").read_text().splitlines()]


def draw(out: Path, datasets: tuple[str, ...], phases: list[tuple[int, np.ndarray]]) -> None:
    """Each phase's length and places, in the data sets by turns."""
    described = []
    for number, (length, places) in enumerate(phases):
        name = f"order-{number}.npy"
        np.save(out / name, np.stack((np.arange(len(places)) % len(datasets), places), 1))
        described.append({"sequence_length": length, "instances": len(places), "order": name})
    index = {"format_version": 1, "datasets": [{"name": name} for name in datasets], "phases": described}
    (out / "blend.json").write_text(json.dumps(index))
