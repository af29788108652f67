"""What deduplication keeps at each level, in the layout of OpenCoder's Table 13, by the real operators.

    python benchmarks/dedup_levels.py PATH.parquet [--repository repo,version] [--chunk-words 4096] [--bands 16]

Compiles five experiments that differ in their `Deduplicate` steps only, runs each as far as clean documents (sign,
merge, edges, cluster, refine; nothing is redacted or filtered) with a store in a temporary directory, and prints a row
each: level, total rows, unit, retained rows, retained words, and both as shares. Seconds are wall time of a whole arm
in one process, of the first with the loading of kernels; arms share no artefact unless their tasks are the same.

A token is a word of MinHash (runs of letters, digits and underscores), where the paper counts its tokenizer's; its
chunks are sequences of 4096 such tokens. Compare shares, not numbers. A repository is the values of the columns of
`--repository` joined by "@", so that versions of one package are repositories of their own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from compiler.compile import compile_experiment
from compiler.plan import Plan
from compiler.profile import Profile
from compiler.write import write_plan
from ocspec import (
    WSD,
    Batches,
    Columns,
    Curriculum,
    Dataset,
    Deduplicate,
    Experiment,
    MinHash,
    Mixture,
    Parquet,
    Part,
    Pretrain,
    TrainedBPE,
    Transformer,
)
from runtime.data.minhash import MinHasher
from runtime.dispatch.inline import InlineDispatcher
from runtime.journal import Journal
from runtime.run import run_plan
from runtime.store import Store
from runtime.task import Artifact

LEVELS = (("chunk",), ("file",), ("file", "chunk"), ("repository",), ("repository", "chunk"))  # as in Table 13
BATCH = 1024


@attrs.frozen(kw_only=True)
class Row:
    """A row of the table: items of one unit before and after, words after, and the wall time of the arm."""

    level: str
    unit: str
    total: int
    retained: int
    words: int
    seconds: float


def prepared(path: str, repository: Sequence[str], target: Path) -> Path:
    """The corpus with the column `repository`."""
    with pq.ParquetFile(path) as file:
        kept = [name for name in ("path", "content", "commit_time", "stars") if name in file.schema_arrow.names]
        with pq.ParquetWriter(
            target, pa.schema([("repository", pa.string()), *map(file.schema_arrow.field, kept)])
        ) as out:
            for batch in file.iter_batches(BATCH, columns=[*repository, *kept]):
                joined = pc.binary_join_element_wise(*[batch[name].cast(pa.string()) for name in repository], "@")
                out.write_batch(pa.record_batch([joined, *(batch[name] for name in kept)], out.schema))
    return target


def experiment(corpus: Path, steps: Iterable[Deduplicate]) -> Experiment:
    """Documents of a file after some steps; what follows data is there because an experiment has it, and is not run."""
    names = pq.read_schema(corpus).names
    columns = Columns(
        repo="repository",
        stars="stars" if "stars" in names else "",
        commit_time="commit_time" if "commit_time" in names else "",
    )
    stage = Pretrain(
        name="none",
        mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
        batches=(Batches(steps=2, global_batch=1, sequence_length=8),),
        schedule=WSD(peak=1e-3, warmup_steps=1),
    )
    return Experiment(
        name="levels",
        data=(
            Dataset(
                name="code", sources=(Parquet(name="corpus", path=str(corpus), columns=columns),), steps=tuple(steps)
            ),
        ),
        tokenizer=TrainedBPE(vocab_size=300, sample_bytes=1000),
        model=Transformer(
            num_layers=1, hidden_size=8, intermediate_size=8, num_heads=1, num_kv_heads=1, max_positions=8
        ),
        curriculum=Curriculum(stages=(stage,)),
    )


def run(spec: Experiment, root: Path, store: Store) -> tuple[Plan, float]:
    """Run a spec as far as clean documents; the plan, and the wall time."""
    began = time.perf_counter()
    plan = compile_experiment(spec, root)
    path = write_plan(plan, root / f"plan-{time.monotonic_ns()}", root, Profile())
    tasks = tuple(task for task in plan.tasks if task.id.startswith("code/") and task.resources.task_class != "train")
    wanted = tasks[: [task.id for task in tasks].index("code/refine") + 1]
    summary = run_plan(
        attrs.evolve(plan, tasks=wanted),
        store,
        InlineDispatcher(path, store.root),
        Journal(path.parent / "journal"),
        lambda _: None,
    )
    if summary.errors:
        raise SystemExit("\n".join(summary.errors))
    return plan, time.perf_counter() - began


def built(plan: Plan, store: Store, task: str) -> Artifact:
    """The artefact of a task that has run."""
    artifact = store.find(plan.task(task).fingerprint)
    assert artifact is not None, f"{task} was not built"
    return artifact


def words_in(files: Iterable[Path]) -> int:
    """Words of all contents."""
    counter = MinHasher(1, ngram=1)
    found = 0
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=["content"]):
                found += int(counter.signatures(batch["content"])[1].sum(dtype="int64"))
    return found


def measure(level: tuple[str, ...], corpus: Path, near: MinHash, chunk_words: int, root: Path, store: Store) -> Row:
    """Deduplicate at one level."""
    steps = [Deduplicate(granularity=item, near=near, chunk_tokens=chunk_words) for item in level]
    plan, seconds = run(experiment(corpus, steps), root, store)
    clean = built(plan, store, "code/refine").files("documents")
    last = "code/deduplicate" if len(level) == 1 else f"code/deduplicate#{len(level)}"
    stats = built(plan, store, f"{last}/cluster").manifest["stats"]
    total, retained = built(plan, store, "code/sign").manifest["stats"]["kept"], stats["kept"]
    if level[-1] == "chunk":
        total = built(plan, store, "code/sign").manifest["stats"]["chunks"]
    if level[-1] == "repository":
        total = built(plan, store, f"{last}/merge").manifest["stats"]["repositories"]
        retained = len(
            set().union(*(pq.read_table(path, columns=["repo"])["repo"].unique().to_pylist() for path in clean))
        )
    return Row(
        level=" + ".join(level), unit=level[-1], total=total, retained=retained, words=words_in(clean), seconds=seconds
    )


def main() -> None:
    """Read the arguments, run the five arms, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", metavar="PATH.parquet")
    parser.add_argument("--repository", default="repo", help="columns that make a repository, comma-separated")
    parser.add_argument("--chunk-words", type=int, default=4096)
    parser.add_argument("--bands", type=int, default=16)
    parser.add_argument("--rows", type=int, default=128)
    arguments = parser.parse_args()
    near = MinHash(bands=arguments.bands, rows=arguments.rows)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        corpus = prepared(arguments.path, arguments.repository.split(","), root / "corpus.parquet")
        all_words = words_in([corpus])
        print(f"{pq.read_metadata(corpus).num_rows:,} documents, {all_words:,} words; {near.bands} x {near.rows}\n")
        print("| level | total rows | unit | retained rows | retained words | rows kept | words kept | seconds |")
        print("|---|---|---|---|---|---|---|---|")
        for level in LEVELS:
            row = measure(level, corpus, near, arguments.chunk_words, root, Store(root / "store"))
            shares = f"{row.retained / row.total:.2%} | {row.words / all_words:.2%}"
            counts = f"{row.total:,} | {row.unit} | {row.retained:,} | {row.words:,}"
            print(f"| {row.level} | {counts} | {shares} | {row.seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
