"""Experiments for the operators that the tiny one does not use: packages, a crawl, and a rehearsal.

Not tests and not the goldens. Their text is in tests/fixtures/goldens, so that they read the same on any machine:
packages, pages of a crawl with some of this repository's own code and prose, a test set, pairs, and a tokenizer.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from compiler.ir import PyPIPackage
from ocspec import (
    WSD,
    Admit,
    Anneal,
    Batches,
    Cosine,
    Curriculum,
    Dataset,
    Decay,
    Declared,
    Decontaminate,
    Deduplicate,
    Experiment,
    FastText,
    FineTune,
    HoldOut,
    Instructions,
    JsonLines,
    MinHash,
    Mixture,
    Package,
    Part,
    Pretrain,
    PretrainedTokenizer,
    PyPI,
    TestSet,
    TrainedBPE,
    Transformer,
    WebRecall,
)

TEXT = Path(__file__).parents[1] / "fixtures" / "goldens"
PHASE = Batches(steps=4, global_batch=2, sequence_length=32)
MODEL = Transformer(num_layers=2, hidden_size=32, intermediate_size=64, num_heads=2, num_kv_heads=1, max_positions=64)
TOKENIZER = PretrainedTokenizer(name="own", path=str(TEXT / "tokenizer.json"), vocab_size=300)
CLEAN = Decontaminate(
    benchmarks=(TestSet(name="own", path=str(TEXT / "items.jsonl"), item="id", texts=("text",), entry_point="name"),),
    ngram=5,
    template_items=2,
)


def package_files(name: str) -> dict[str, bytes]:
    """The files of a package, NAME@VERSION; one of them is no text, which is not kept as a file here."""
    root = TEXT / "packages" / name
    files = {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    return {**files, "alpha/logo.png": b"\x89PNG\0\xff"} if name == "alpha@1.0" else files


def write_pages(root: Path) -> None:
    """`pages-0.parquet`, `pages-1.parquet` and `seed.parquet` below a directory."""
    for name, files in (("pages", 2), ("seed", 1)):
        rows = [json.loads(line) for line in (TEXT / f"{name}.jsonl").read_text().splitlines()]
        for number in range(files):
            file = root / (f"{name}-{number}.parquet" if files > 1 else f"{name}.parquet")
            pq.write_table(pa.Table.from_pylist(rows[number::files]), file, row_group_size=16)


def packaged(packages: list[PyPIPackage]) -> Experiment:
    """Packages deduplicated by repository and decontaminated, and pairs decontaminated; a tokenizer is imported.

    A stage measures itself on a held-out package.
    """
    wheels = tuple(Package(name=each.name, version=each.version, sha256=each.sha256) for each in packages)
    near = Deduplicate(granularity="repository", near=MinHash(bands=8, rows=4))
    return Experiment(
        name="packaged",
        data=(Dataset(name="code", sources=(PyPI(name="pypi", packages=wheels),), steps=(Admit(), near, CLEAN)),),
        hold_out=HoldOut(repositories=("gamma@*",)),
        tokenizer=TOKENIZER,
        model=MODEL,
        instructions=(Instructions(name="own", path=str(TEXT / "pairs.jsonl"), format="jsonl"),),
        decontaminate_instructions=CLEAN,
        curriculum=Curriculum(stages=(learning("code").replace(validate_every=2, validate_bytes=400), tuning("own"))),
    )


def recalled(web: Path) -> Experiment:
    """What two rounds recall of the crawl below `web`; the second knows pages that a URL pattern has added."""
    crawl = WebRecall(
        name="crawl",
        pages=str(web / "pages-*.parquet"),
        seed=str(web / "seed.parquet"),
        url_patterns=("%forum.example/questions/%",),
        iterations=2,
        vocab_size=400,
        sample_pages=40,
        held_out_share=0.3,
        classifier=FastText(dim=8, epochs=50, learning_rate=1.0, buckets=1000),
    )
    return Experiment(
        name="recalled",
        data=(Dataset(name="web", sources=(crawl,)),),
        tokenizer=TOKENIZER,
        model=MODEL,
        curriculum=Curriculum(stages=(learning("web"),)),
    )


def rehearsed(backend: str) -> Experiment:
    """Three stages on a back end, each from the one before, over sources that nobody has: to be rehearsed only."""
    absent = Declared(documents=9, bytes=90_000, tokens=90_000, revision="none")
    mixed = Mixture(parts=(Part(dataset="code", weight=3), Part(dataset="prose", weight=1)))
    phases = (PHASE, PHASE.replace(sequence_length=64))
    pretrain = learning("code").replace(mixture=mixed, batches=phases, backend=backend)
    anneal = Anneal(
        name="anneal",
        mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
        batches=(PHASE,),
        schedule=Decay(end=1e-4),
        start_step=6,
        backend=backend,
    )
    return Experiment(
        name=f"rehearsed-{backend}",
        data=tuple(
            Dataset(name=name, sources=(JsonLines(name=name, path=f"absent/{name}.jsonl", declared=absent),))
            for name in ("code", "prose")
        ),
        tokenizer=TrainedBPE(vocab_size=400),
        model=MODEL,
        instructions=(Instructions(name="tasks", path="absent/tasks.parquet", declared=absent),),
        curriculum=Curriculum(stages=(pretrain, anneal, tuning("tasks").replace(backend=backend))),
    )


def tuning(pairs: str) -> FineTune:
    """A stage of two steps on instruction pairs."""
    return FineTune(
        name="tune",
        instructions=(pairs,),
        epochs=2,
        steps=2,
        global_batch=2,
        max_length=64,
        schedule=Cosine(peak=1e-3, warmup_steps=1),
    )


def learning(dataset: str) -> Pretrain:
    """A stage of one phase on one data set."""
    return Pretrain(
        name="pretrain",
        mixture=Mixture(parts=(Part(dataset=dataset, weight=1, max_epochs=9),)),
        batches=(PHASE,),
        schedule=WSD(peak=3e-3, warmup_steps=2),
    )
