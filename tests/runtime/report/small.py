"""A small experiment, compiled for real, and artefacts for it that go through the real store and worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from compiler import ir
from compiler.compile import compile_experiment
from compiler.plan import Plan, Task
from ocspec import (
    WSD,
    Admit,
    Anneal,
    Batches,
    BitsPerByte,
    Cosine,
    Curriculum,
    Dataset,
    Decay,
    Deduplicate,
    Downsample,
    Experiment,
    Filter,
    FineTune,
    FunctionPairs,
    HoldOut,
    Mixture,
    Package,
    Part,
    Pretrain,
    PyPI,
    Redact,
    SelectKeywords,
    TrainedBPE,
    Transformer,
)
from runtime import digest, worker
from runtime.journal import Journal
from runtime.report.built import Built
from runtime.store import RESULT, Store

STEPS = {"alpha": 10, "gamma": 5, "delta": 4}


def small_plan() -> Plan:
    """Two data sets, one selected from the other; the stages are alpha, gamma (annealing), delta (tuning)."""
    packages = (
        Package(name="six", version="1.16.0", sha256="0" * 64),
        Package(name="attrs", version="24.2.0", sha256="1" * 64),
    )
    steps = (Admit(), Deduplicate(granularity="file"), Redact(), Filter(), Downsample(caps={"html": 10}))
    code = Dataset(name="code", sources=(PyPI(name="pypi", packages=packages),), steps=steps)
    algo = Dataset(name="algo", base="code", steps=(SelectKeywords(keywords=("sort",)),))
    half = Batches(steps=5, global_batch=4, sequence_length=32)
    full = Batches(steps=5, global_batch=4, sequence_length=64)
    stages = (
        Pretrain(
            name="alpha",
            mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
            batches=(half, full),
            schedule=WSD(peak=1e-3, warmup_steps=2),
        ),
        Anneal(
            name="gamma",
            mixture=Mixture(parts=(Part(dataset="code", weight=0.75), Part(dataset="algo", weight=0.25))),
            batches=(full,),
            schedule=Decay(end=1e-5),
        ),
        FineTune(
            name="delta",
            instructions=("functions",),
            epochs=1,
            steps=4,
            global_batch=2,
            max_length=64,
            schedule=Cosine(peak=1e-4, warmup_steps=1),
        ),
    )
    experiment = Experiment(
        name="small",
        data=(code, algo),
        tokenizer=TrainedBPE(vocab_size=512),
        hold_out=HoldOut(repositories=("six@*",)),
        model=Transformer(
            num_layers=2, hidden_size=64, intermediate_size=128, num_heads=2, num_kv_heads=1, max_positions=64
        ),
        instructions=(FunctionPairs(name="functions", dataset="code"),),
        curriculum=Curriculum(stages=stages),
        evaluations=(BitsPerByte(),),
    )
    return compile_experiment(experiment, Path(__file__).parent, shards=2)


PLAN = small_plan()


@attrs.frozen
class Run:
    """A plan on disk with a store and a journal, to be built task by task."""

    root: Path
    plan: Plan

    @property
    def directory(self) -> Path:
        return self.root / "plan"

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    @property
    def journal(self) -> Journal:
        return Journal(self.directory / "journal")

    def built(self) -> Built:
        return Built.look(self.directory, self.store)

    def finish(self, task_id: str, stats: dict[str, Any] | None = None) -> None:
        """Publish the artefact of a task whose inputs are published, with what `write` makes for it."""
        task = self.plan.task(task_id)
        inputs = worker.gather(task, self.plan, self.store)
        key, preimage = worker.task_key(task, inputs)
        for shard in range(task.shards):
            with self.store.attempt(key, task.shards, shard) as directory:
                assert directory is not None
                write(task, directory / "out", shard)
                outputs = {n: digest.digest_output(directory / "out" / n, k) for n, k in task.op.outputs.items()}
                made = STATS.get(task_id, {}) if stats is None else stats
                result = {"outputs": outputs, "stats": made if shard == 0 else {}, "timing": timing(shard)}
                (directory / RESULT).write_text(json.dumps(result))
        worker.publish_if_complete(self.plan, task, key, preimage, inputs, self.store, self.journal)

    def finish_up_to(self, task_id: str) -> None:
        """Build the task and all that it needs."""
        for upstream in self.plan.task(task_id).upstream:
            self.finish_up_to(upstream)
        if self.store.find(self.plan.task(task_id).fingerprint) is None:
            self.finish(task_id)


def timing(shard: int) -> dict[str, Any]:
    """Shard k takes k + 1 seconds and starts a second after the one before."""
    return {
        "started": 1000.0 + shard,
        "seconds": shard + 1.0,
        "cpu_seconds": 2.0,
        "peak_memory_mb": 100 + shard,
        "host": f"node{shard}",
    }


STATS: dict[str, dict[str, Any]] = {
    "code/sign": {
        "in": 20,
        "kept": 15,
        "dropped": {"empty": 2, "too_large": 3},
        "languages": {"python": 10, "html": 5},
        "bytes": {"python": 1000, "html": 500},
        "seen": {"python": 12, "html": 6, "(none)": 2},
    },
    "code/hold-out": {"in": 15, "kept": 14, "dropped": {"near_twin": 1}, "languages": {"python": 9, "html": 5}},
    "code/deduplicate/cluster": {
        "in": 14,
        "kept": 10,
        "languages": {"python": 8, "html": 2},
        "dropped": {"exact_duplicate": 3, "near_duplicate": 1},
    },
    "code/refine": {
        "in": 10,
        "kept": 6,
        "dropped": {"num_lines_min": 2, "frac_chars_comments_max": 1, "rule_0": 1},
        "signals": {
            "num_lines": {"code": {"3": 2, "10": 6}},
            "frac_chars_comments": {"code": {"2": 5, "38": 1}, "text": {"0": 50}},
        },
        "languages": {"python": 5, "html": 1},
        "bytes": {"python": 500, "html": 100},
        "redactions": {"email": 7, "copyright": 2},
    },
    "code/downsample": {"in": 6, "kept": 5, "dropped": {"language_cap": 1}, "languages": {"python": 5}},
    "algo/selectkeywords": {"in": 5, "kept": 2, "dropped": {"no_keyword": 3}},
    "code/pack": {"documents": 4, "tokens": 4000},
    "algo/pack": {"documents": 2, "tokens": 900},
    "instructions/functions": {"pairs": 12},
    "delta/encode-functions": {"samples": 9, "too_long": 3, "tokens": 300},
    "alpha/train": {"loss_tokens": 1900, "final_loss": 4.5, "tokens_per_second": 1234.5},
}

# position, language, bytes, held out; the selections keep all but the last (capped) and, for algo, 0 and 2.
DOCUMENTS = (
    (0, "python", 300, False),
    (1, "python", 80, True),
    (2, "html", 100, False),
    (3, "html", 60, False),
)
SELECTED = {"code/downsample": (0, 1, 2), "algo/selectkeywords": (0, 2)}
BITS = {"alpha": (3.0, 2.5), "gamma": (2.25, 2.5), "delta": (2.75, 2.5)}


def write(task: Task, out: Path, shard: int) -> None:
    """What a task of that kind leaves: real formats, few rows, no two tasks alike. Shard 1 has no rows."""
    for name in task.op.outputs:
        (out / name).mkdir(parents=True)
    if isinstance(task.op, ir.Refine):
        rows = DOCUMENTS if shard == 0 else ()
        names = ("position", "language", "bytes", "held_out")
        types = (pa.int64(), pa.string(), pa.int64(), pa.bool_())
        columns = {n: pa.array([row[i] for row in rows], t) for i, (n, t) in enumerate(zip(names, types, strict=True))}
        table(out / "documents", pa.table(columns))
        rules = (("num_lines_min", 4.0), ("num_lines_min", 5.0), ("frac_chars_comments_max", 0.96), ("rule_0", None))
        rules = rules if shard == 0 else ()
        columns = {"rule": pa.array([r for r, _ in rules], pa.string()), "value": [v for _, v in rules]}
        table(out / "dropped", pa.table({**columns, "value": pa.array(columns["value"], pa.float64())}))
    elif task.id in SELECTED:
        table(out / "selection", pa.table({"position": list(SELECTED[task.id])}))
    elif isinstance(task.op, ir.MakePairs):
        languages = ["python", "python", "go", None] if shard == 0 else []
        table(out / "pairs", pa.table({"language": pa.array(languages, pa.string())}))
    elif isinstance(task.op, ir.Draw | ir.DrawSamples):
        blend(task.op, out / "blend")
    elif isinstance(task.op, ir.TrainTorch):
        (out / "metrics" / "metrics.jsonl").write_text(metrics(task.op.job.steps))
        if task.id == "gamma/train":
            (out / "metrics" / "metrics.jsonl").write_text(watched_metrics())
            (out / "metrics" / "validation.jsonl").write_text(validation())
        (out / "log" / "environment.json").write_text('{"device": "cpu", "threads": 2}')
    elif isinstance(task.op, ir.BitsPerByte | ir.NGram):
        (out / "result" / "bits_per_byte.json").write_text(json.dumps(bits(task.op)))
    for name, kind in task.op.outputs.items():
        if any((out / name).iterdir()):
            continue
        if kind == "table":
            table(out / name, pa.table({task.id: pa.array([], pa.int64())}))
        else:
            (out / name / "of").write_text(task.id)


def table(directory: Path, rows: pa.Table) -> None:
    pq.write_table(rows, directory / "part-00000.parquet")


def blend(op: ir.Draw | ir.DrawSamples, directory: Path) -> None:
    """The first data set gives three of four sequences, the second one; alone it gives all."""
    if isinstance(op, ir.Draw):
        names, phases = (
            [share.dataset for share in op.shares],
            [(p.instances, p.sequence_length) for p in op.phases],
        )
    else:
        names, phases = list(op.datasets), [(op.steps * op.global_batch, op.sequence_length)]
    described = []
    for number, (instances, length) in enumerate(phases):
        dataset = np.arange(instances) % 4 // 3 if len(names) == 2 else np.zeros(instances, dtype=np.int64)
        np.save(directory / f"order-{number}.npy", np.stack([dataset, np.arange(instances)], axis=1))
        described.append({"sequence_length": length, "instances": instances, "order": f"order-{number}.npy"})
    total = sum(instances for instances, _ in phases)
    drawn = [total - total // 4, total // 4] if len(names) == 2 else [total]
    datasets = [{"name": n, "available": 99, "drawn": d} for n, d in zip(names, drawn, strict=True)]
    text = json.dumps({"format_version": 1, "datasets": datasets, "phases": described})
    (directory / "blend.json").write_text(text)


def metrics(steps: int) -> str:
    """One line a step, the loss falling from 8."""
    lines = [
        {"step": s, "loss": 8.0 - s / 10, "lr": s * 1e-4, "grad_norm": 1.0, "tokens": s * 256}
        for s in range(1, steps + 1)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def watched_metrics() -> str:
    """Five steps on two data sets, the other in the third and in the second, no number itself; the fourth jumps."""
    lines = [json.loads(line) for line in metrics(5).splitlines()]
    for line in lines:
        line["sources"] = {"code": line["loss"] + 1, **({"algo": 2.0} if line["step"] == 3 else {})}
    lines[1]["sources"]["algo"] = None
    lines[1] |= {"loss": None, "grad_norm": None, "anomaly": "not finite", "skipped": True}
    lines[3] |= {"anomaly": "spike", "skipped": False}
    return "".join(json.dumps(line) + "\n" for line in lines)


def validation() -> str:
    """Two measurements, in two languages."""
    lines = [
        {"step": step, "documents": 3, "bytes": 90, "bits_per_byte": bits, "languages": {"go": bits + 1, "c": bits / 2}}
        for step, bits in ((2, 3.25), (5, 2.5))
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def bits(op: ir.BitsPerByte | ir.NGram) -> dict[str, Any]:
    value = BITS[op.stage][isinstance(op, ir.NGram)]
    total = {"documents": 3, "bytes": 800, "bits": 800 * value, "bits_per_byte": value}
    return {"model": "m", "total": total, "languages": {"html": {**total, "documents": 1}, "python": total}}
