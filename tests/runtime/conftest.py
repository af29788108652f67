"""A small real experiment that every test of the runtime can run: real Python files, a real model, seconds of time."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.compile import compile_experiment
from compiler.plan import Plan
from compiler.profile import Profile
from compiler.write import write_plan
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
    Directory,
    Downsample,
    Experiment,
    Filter,
    FineTune,
    FunctionPairs,
    HoldOut,
    MinHash,
    Mixture,
    Part,
    Pretrain,
    Redact,
    SelectKeywords,
    TrainedBPE,
    Transformer,
)
from runtime.dispatch.inline import InlineDispatcher
from runtime.journal import Journal
from runtime.run import Summary, run_plan
from runtime.store import Store

REPOSITORIES = {
    "text": ("textwrap", "string", "difflib", "shlex", "pprint", "reprlib"),
    "text-fork": ("textwrap", "string", "difflib", "shlex"),
    "math": ("fractions", "statistics", "random", "bisect", "heapq", "decimal"),
    "files": ("tempfile", "shutil", "glob", "fnmatch", "filecmp", "zipfile"),
    "held": ("configparser", "argparse", "textwrap"),
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five repositories of standard-library files; one is a fork of another, one is held out and shares a file."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def write_corpus(root: Path) -> Path:
    """The corpus, in an empty directory."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for repo, modules in REPOSITORIES.items():
        (root / repo).mkdir()
        for module in modules:
            text = (library / f"{module}.py").read_text()
            (root / repo / f"{module}.py").write_text(text)
    fork = root / "text-fork" / "difflib.py"
    fork.write_text(fork.read_text() + "\n# one line more\n")
    (root / "files" / "broken.py").write_bytes(b"caf\xe9 = 1\n" * 40)
    (root / "files" / "notes.unknown").write_text("no language has this extension")
    return root


def tiny(corpus: Path, **changes: object) -> Experiment:
    """An experiment of all four kinds of stages over the corpus."""
    code = Dataset(
        name="code",
        sources=(Directory(name="local", path=str(corpus)),),
        steps=(
            Admit(),
            Deduplicate(near=MinHash(bands=16, rows=16)),
            Redact(),
            Filter(),
            Downsample(caps={"python": 600_000}),
        ),
    )
    chosen = Dataset(name="chosen", base="code", steps=(SelectKeywords(keywords=("Heap", "sequence")),))
    whole = Mixture(parts=(Part(dataset="code", weight=1, max_epochs=4),))
    mixed = Mixture(
        parts=(
            Part(dataset="code", weight=0.8, max_epochs=4),
            Part(dataset="chosen", weight=0.2, max_epochs=9),
        )
    )
    return Experiment(
        name="tiny",
        data=(code, chosen),
        hold_out=HoldOut(repositories=("held",)),
        tokenizer=TrainedBPE(vocab_size=400, sample_bytes=200_000),
        model=Transformer(
            num_layers=2, hidden_size=32, intermediate_size=64, num_heads=2, num_kv_heads=1, max_positions=256
        ),
        instructions=(FunctionPairs(name="functions", dataset="code"),),
        curriculum=Curriculum(
            stages=(
                Pretrain(
                    name="pretrain",
                    mixture=whole,
                    batches=(Batches(steps=6, global_batch=4, sequence_length=64),),
                    schedule=WSD(peak=1e-2, warmup_steps=2),
                    micro_batch=4,
                ),
                Anneal(
                    name="anneal",
                    mixture=mixed,
                    batches=(Batches(steps=3, global_batch=4, sequence_length=64),),
                    schedule=Decay(end=1e-4),
                    micro_batch=4,
                ),
                FineTune(
                    name="sft",
                    instructions=("functions",),
                    epochs=2,
                    steps=2,
                    global_batch=2,
                    max_length=256,
                    schedule=Cosine(peak=1e-3, warmup_steps=1),
                ),
            )
        ),
        evaluations=(BitsPerByte(max_bytes=20_000),),
        **changes,
    )


class Workbench:
    """Compile and run experiments against one store."""

    def __init__(self, root: Path, corpus: Path) -> None:
        self.root = root
        self.corpus = corpus
        self.store = Store(root / "store")

    def compile(self, experiment: Experiment | None = None, shards: int = 1) -> tuple[Plan, Path]:
        """A plan and the path of its plan.json."""
        experiment = experiment or tiny(self.corpus)
        plan = compile_experiment(experiment, self.root, shards)
        return plan, write_plan(plan, self.root / f"build-{experiment.name}-{shards}", self.root, Profile())

    def run(self, plan: Plan, path: Path, store: Store | None = None, until: str | None = None) -> Summary:
        """Run a plan in this process; `until` runs only that task and what it reads."""
        import attrs

        store = store or self.store
        wanted = ancestors(plan, until) if until else {task.id for task in plan.tasks}
        part = attrs.evolve(plan, tasks=tuple(task for task in plan.tasks if task.id in wanted))
        return run_plan(
            part, store, InlineDispatcher(path, store.root), Journal(path.parent / "journal"), lambda _: None
        )


def ancestors(plan: Plan, task_id: str) -> set[str]:
    """A task and all that it reads, directly or not."""
    found = {task_id}
    for upstream in plan.task(task_id).upstream:
        found |= ancestors(plan, upstream)
    return found


@pytest.fixture
def workbench(tmp_path: Path, corpus: Path) -> Workbench:
    """A store of one's own."""
    return Workbench(tmp_path, corpus)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> tuple[Workbench, Plan, Path, Summary]:
    """The tiny experiment, run once for all tests that only look at it."""
    bench = Workbench(tmp_path_factory.mktemp("finished"), corpus)
    plan, path = bench.compile()
    summary = bench.run(plan, path)
    shutil.copytree(bench.store.root, bench.root / "untouched")  # before any test adds to it
    return bench, plan, path, summary


@pytest.fixture(scope="session")
def data_store(finished: tuple[Workbench, Plan, Path, Summary], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all of the tiny experiment but what was trained and measured. To be copied, not to be changed."""
    bench, plan, _, _ = finished
    root = tmp_path_factory.mktemp("data") / "store"
    shutil.copytree(bench.root / "untouched", root)
    for task in plan.tasks:
        if task.resources.task_class not in {"fetch", "data", "group"}:
            artifact = Store(root).find(task.fingerprint)
            assert artifact is not None
            shutil.rmtree(artifact.path)
    return root


@pytest.fixture
def with_data(workbench: Workbench, data_store: Path) -> Workbench:
    """A store of one's own in which the data of the tiny experiment is built."""
    shutil.copytree(data_store, workbench.store.root)
    return workbench


MakeExperiment = Callable[..., Experiment]
