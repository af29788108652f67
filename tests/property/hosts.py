"""One object of every kind of the language, and the smallest experiment around it in which each of its fields counts.

Not a spec to learn from: it is compiled without the rules that would refuse nonsense, since identity must hold for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from compiler.draft import Draft
from compiler.passes.fingerprint import fingerprint
from compiler.passes.lower_data import lower_data
from compiler.passes.lower_evaluation import lower_evaluation
from compiler.passes.lower_tokens import lower_tokens
from compiler.passes.lower_training import lower_training
from compiler.passes.resolve import resolve
from compiler.passes.schedule import schedule
from compiler.plan import Task
from ocspec import refinement, sources
from ocspec.base import Spec, concrete_kinds
from ocspec.evaluation import BitsPerByte, Evaluation
from ocspec.experiment import Experiment
from ocspec.mixture import Dataset, HoldOut, Mixture, Part
from ocspec.model import PretrainedTokenizer, Tokenizer, TrainedBPE, Transformer
from ocspec.refinement import Admit, Decontaminate, Deduplicate, Filter, MinHash, Rule, Step
from ocspec.sources import (
    Columns,
    Declared,
    FastText,
    FunctionPairs,
    Generator,
    Instructions,
    JsonLines,
    Package,
    Parquet,
    PyPI,
    Source,
    WebRecall,
)
from ocspec.testsets import TestSet
from ocspec.training import (
    WSD,
    AdamW,
    Anneal,
    Batches,
    Cosine,
    Curriculum,
    Decay,
    FineTune,
    Guard,
    Parallelism,
    Pretrain,
    Stage,
)

KINDS = [kind for kind in concrete_kinds(Spec) if kind.__module__.startswith("ocspec.")]
"""Every kind that a spec can be written with."""

PASSES = (resolve, lower_data, lower_tokens, lower_training, lower_evaluation, schedule, fingerprint)

IDLE = {
    "Experiment.name": "plans and reports call it so",
    "Pretrain.name": "a label; tasks of any name have the same fingerprint",
    "Anneal.name": "as above",
    "FineTune.name": "as above",
    **{f"{kind.__name__}.name": "a label" for kind in concrete_kinds(Evaluation)},
    **{f"Declared.{size}": "sizes are for budgets" for size in ("documents", "bytes", "tokens")},
    "Dataset.declared": "sizes are for budgets",
    "TestSet.declared": "the files are here, and are known by their digest",
    **{f"{name}.declared": "the same" for name in ("JsonLines", "Directory", "Instructions")},
    "PyPI.declared": "wheels are known by their SHA-256",
    "FunctionPairs.declared": "it is made of a data set",
    "PretrainedTokenizer.special_tokens": "the file has its own",
    "FineTune.samples": "of no meaning where steps are given",
    **{f"{stage}.parallelism": "how to run" for stage in ("Pretrain", "Anneal", "FineTune")},
}
"""Semantic fields of which another value means nothing here, each with the reason."""
NEEDED = {"validate_bytes": "validate_every"}
"""Fields that mean nothing where another one is 0 or empty."""
REFUSED = {"Dataset.base": "a data set has sources or a base: a rule refuses both"}


def files(base: Path) -> None:
    """What the sources of the hosts read, in an empty directory."""
    (base / "repositories" / "alpha").mkdir(parents=True)
    (base / "repositories" / "alpha" / "main.py").write_text("print('alpha')\n")
    (base / "files.jsonl").write_text('{"repo": "alpha", "path": "a.py", "content": "x = 1"}\n')
    (base / "items.jsonl").write_text('{"task_id": 11, "text": "say x", "code": "x", "test_list": []}\n')
    (base / "pairs.jsonl").write_text('{"instruction": "say x", "output": "x"}\n')


def tasks(experiment: Experiment, base: Path) -> dict[str, Task]:
    """The tasks of an experiment whose paths start at `base`, by their ids."""
    draft = Draft(experiment=experiment, base=base, shards=1)
    for compiler_pass in PASSES:
        draft = compiler_pass(draft)
    return {task.id: task for task in draft.tasks}


def fingerprints(experiment: Experiment, base: Path) -> frozenset[str]:
    """The fingerprints of all of them."""
    return frozenset(task.fingerprint for task in tasks(experiment, base).values())


# ---------------------------------------------------------------- objects

FAR = Declared(tokens=10**9, bytes=10**9, documents=10**6, revision="r1")
BATCHES = Batches(steps=10, global_batch=4, sequence_length=64)
COSINE = Cosine(peak=1e-4, warmup_steps=1, end=1e-6)
WHEELS = (Package(name="six", version="2", sha256="0" * 64), Package(name="two", version="3", sha256="1" * 64))
WEB: dict[str, Any] = {"pages": "p", "seed": "s", "declared": FAR, "url_patterns": ("%/a%", "%/b%")}
STAGE: dict[str, Any] = {"validate_every": 2, "note": "a remark"}
MIXED = (Part(dataset="code", weight=3.5), Part(dataset="more", weight=1.5, max_epochs=2))

WRITTEN: dict[type[Spec], dict[str, Any]] = {
    Columns: {"content": "text", "doc_id": "id", "repo": "r", "path": "p", "language": "l", "stars": "s",
              "commit_time": "t"},
    Declared: {"documents": 5, "bytes": 7, "tokens": 9, "revision": "r1"},
    Generator: {"model": "m", "revision": "r", "recipe": "p", "seed_data": "s", "temperature": 0.5, "licence": "l"},
    Package: {"name": "six", "version": "2", "sha256": "0" * 64},
    FastText: {"dim": 10, "epochs": 2, "learning_rate": 0.2, "word_ngrams": 3, "min_count": 2, "buckets": 1000},
    JsonLines: {"name": "files", "path": "files.jsonl"},
    Parquet: {"name": "table", "path": "gone.parquet", "declared": FAR},
    sources.Directory: {"name": "tree", "path": "repositories"},
    PyPI: {"name": "pypi", "packages": WHEELS},
    WebRecall: {"name": "crawl", **WEB},
    Instructions: {"name": "pairs", "path": "pairs.jsonl", "format": "jsonl"},
    FunctionPairs: {"name": "made", "dataset": "code", "languages": ("c", "python"), "min_docstring_chars": 20},
    TestSet: {"name": "mbpp", "path": "items.jsonl", "texts": ("text", "code"), "defined_in": "code",
              "called_in": "test_list", "first": 11, "last": 510},
    Admit: {"max_bytes": 1000, "languages": ("c", "python"), "doc_types": ("code", "text")},
    MinHash: {"bands": 8, "rows": 16, "ngram": 4, "seed": 3},
    Deduplicate: {"granularity": "chunk", "chunk_tokens": 500},
    refinement.Redact: {"copyright": True, "pii": False},
    Rule: {"name": "own", "signal": "num_lines", "comparison": "<", "threshold": 3.0, "languages": ("c", "python"),
           "doc_types": ("code", "text")},
    Filter: {"rules": (Rule(name="own", signal="num_lines", comparison="<", threshold=3.0),)},
    refinement.Downsample: {"caps": {"python": 1000, "c": 2000}},
    refinement.SelectKeywords: {"keywords": ("heap", "graph")},
    Decontaminate: {"benchmarks": (TestSet.mbpp("items.jsonl"), TestSet.humaneval("items.jsonl")), "ngram": 8,
                    "stop_phrases": ("a b", "c d")},
    Dataset: {"name": "code", "sources": (JsonLines(name="files", path="files.jsonl"),
                                          JsonLines(name="again", path="items.jsonl")),
              "steps": (Admit(max_bytes=500), refinement.SelectKeywords(keywords=("k",)),
                        refinement.Downsample(caps={"c": 9}))},
    Part: {"dataset": "code", "weight": 3, "max_epochs": 2},
    Mixture: {"parts": MIXED},
    HoldOut: {"repositories": ("beta", "gamma")},
    Transformer: {"num_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "num_kv_heads": 2,
                  "head_dim": 32, "max_positions": 128},
    TrainedBPE: {"vocab_size": 300, "sample_bytes": 1000},
    PretrainedTokenizer: {"name": "bought", "path": "gone.json", "vocab_size": 1000},
    Batches: {"steps": 10, "global_batch": 4, "sequence_length": 64},
    AdamW: {"beta1": 0.8, "eps": 1e-7},
    Parallelism: {"data": 2, "distributed_optimizer": True},
    Guard: {"not_finite": "skip", "spike_ratio": 2.5, "window": 20},
    WSD: {"peak": 1e-3, "warmup_steps": 2},
    Cosine: {"peak": 1e-3, "warmup_steps": 2, "end": 1e-5},
    Decay: {"end": 1e-5, "shape": "linear"},
    Pretrain: {"name": "base", "mixture": Mixture(parts=MIXED), "batches": (BATCHES,), "schedule": COSINE, **STAGE},
    Anneal: {"name": "decay", "mixture": Mixture(parts=MIXED), "batches": (BATCHES,), "schedule": Decay(end=1e-5),
             "start_step": 8, **STAGE},
    FineTune: {"name": "tune", "instructions": ("pairs", "made"), "epochs": 1, "global_batch": 2, "max_length": 64,
               "schedule": COSINE, "steps": 9, "samples": 40, "start_step": 8, **STAGE},
    BitsPerByte: {"stages": ("base", "decay"), "languages": ("c", "python"), "max_bytes": 1000},
}  # fmt: skip
"""The fields that objects are written with; those of other kinds are their defaults."""


FORMS: dict[type[Spec], tuple[dict[str, Any], dict[str, tuple[Any, ...]]]] = {
    Rule: ({"name": "own", "where": "num_lines < 3"}, {"where": ("num_lines < 4", "num_words < 3")}),
    MinHash: ({"threshold": 0.8, "permutations": 64}, {"threshold": (0.5, 0.6), "permutations": (32, 16)}),
    Deduplicate: ({"granularity": "repository"}, {"granularity": ("file", "chunk"), "exact": (False,),
                                                  "near": (None, MinHash(seed=9), MinHash(bands=8))}),
    FineTune: ({**WRITTEN[FineTune], "steps": None}, {"samples": (80, 50)}),
    TestSet: ({"name": "own", "path": "items.jsonl", "texts": ("text",), "entry_point": "code"},
              {"entry_point": ("text", "test_list"), "first": (12,)}),
    Dataset: ({"name": "derived", "base": "more", "steps": (refinement.SelectKeywords(keywords=("k",)),)},
              {"base": ("code", "third")}),
}  # fmt: skip
"""Other forms of objects, in which fields count that do not in the one above, and other values of those fields."""


S = TypeVar("S", bound=Spec)


def written(kind: type[S]) -> S:
    """An object of a kind; curricula and experiments are those of the host."""
    made = _written(kind)
    assert isinstance(made, kind)
    return made


def _written(kind: type[Spec]) -> Any:
    if kind is Curriculum:
        return host(written(FineTune)).curriculum
    if kind is Experiment:
        step = Decontaminate(benchmarks=(TestSet.mbpp("items.jsonl"),))
        return host(written(FineTune)).replace(evaluations=(BitsPerByte(),), decontaminate_instructions=step)
    return kind(**WRITTEN.get(kind, {}))


# ---------------------------------------------------------------- experiments around them


def host(part: Spec, context: int = 0) -> Experiment:
    """An experiment with that object in it. A `context` differs from others in what everything else comes from."""
    if isinstance(part, Experiment):
        return part if not context else part.replace(data=_in_context(part.data, context))
    place = next(place for kind, place in PLACES if isinstance(part, kind))
    changes = place(part)
    data = _in_context(changes.get("data", (_data("code"),)), context)
    return small(**{**changes, "data": data})


def _in_context(data: tuple[Dataset, ...], context: int) -> tuple[Dataset, ...]:
    """The data sets with other documents: every task reads what comes of them."""
    if not context:
        return data
    source = JsonLines(name=f"context{context}", path="files.jsonl")
    return tuple(one if one.base else one.replace(sources=(*one.sources, source)) for one in data)


def _data(name: str, *steps: Step, **changes: Any) -> Dataset:
    source = JsonLines(name="files", path="files.jsonl")
    return Dataset(**{"name": name, "sources": (source,), "steps": steps, **changes})


def small(**changes: Any) -> Experiment:
    """Two data sets, two stages, two kinds of measurement."""
    data = changes["data"]
    first = Part(dataset=data[0].name, weight=3)
    held = {"hold_out": HoldOut(repositories=("beta",))}
    fields: dict[str, Any] = {
        "name": "small",
        "tokenizer": TrainedBPE(vocab_size=300, sample_bytes=1000),
        "model": Transformer(**{**WRITTEN[Transformer], "head_dim": None}),
        "curriculum": Curriculum(stages=(_stage(mixture=Mixture(parts=(first,))),)),
        **held,
        **changes,
    }
    return Experiment(**fields)


def _stage(**changes: Any) -> Pretrain:
    mixed = Mixture(parts=(Part(dataset="code", weight=1),))
    schedule = WSD(peak=1e-3, warmup_steps=2)
    return Pretrain(**{"name": "base", "mixture": mixed, "batches": (BATCHES,), "schedule": schedule, **changes})


def _two(**changes: Any) -> dict[str, Any]:
    return {"data": (_data("code"), _more()), **changes}


def _more() -> Dataset:
    return Dataset(name="more", sources=(JsonLines(name="other", path="items.jsonl"),))


def _staged(*stages: Stage, **changes: Any) -> dict[str, Any]:
    return _two(curriculum=Curriculum(stages=stages), **changes)


def _stepped(*steps: Step) -> dict[str, Any]:
    return {"data": (_data("code", *steps),)}


def _sourced(*given: Source) -> dict[str, Any]:
    return {"data": (_data("code", sources=given),)}


INSTRUCTIONS = (written(Instructions), written(FunctionPairs))


def _tuned(*given: Source, stage: FineTune | None = None) -> dict[str, Any]:
    names = tuple(source.name for source in given)
    stage = stage or FineTune(
        name="tune", instructions=names, epochs=1, global_batch=2, max_length=64, schedule=COSINE, steps=9
    )
    return _staged(_stage(), stage, instructions=given)


def _measured(one: Evaluation) -> dict[str, Any]:
    return _staged(_stage(), _anneal(), evaluations=(one,))


def _anneal(schedule: Decay | None = None) -> Anneal:
    return Anneal(
        name="decay",
        mixture=Mixture(parts=MIXED),
        batches=(BATCHES,),
        schedule=schedule or Decay(end=1e-5),
    )


def _named(dataset: Dataset) -> dict[str, Any]:
    parts = (Part(dataset=dataset.name, weight=3), Part(dataset="more", weight=1))
    others = (_more(), _data("code"), _data("third")) if dataset.base else (_more(),)
    return _staged(_stage(mixture=Mixture(parts=parts)), data=(dataset, *others))


def _shared(part: Part) -> dict[str, Any]:
    return _staged(_stage(mixture=Mixture(parts=(part, MIXED[1]))), data=(_data("code"), _more(), _data("third")))


def _batched(batches: Batches) -> dict[str, Any]:
    return {"curriculum": Curriculum(stages=(_stage(batches=(batches,)),))}


PLACES: tuple[tuple[Any, Any], ...] = (
    (Columns, lambda one: _sourced(JsonLines(name="files", path="files.jsonl", columns=one))),
    (Declared, lambda one: _sourced(Parquet(name="table", path="gone.parquet", declared=one))),
    (Generator, lambda one: _sourced(JsonLines(name="files", path="files.jsonl", generator=one))),
    (Package, lambda one: _sourced(PyPI(name="pypi", packages=(one, WHEELS[1])))),
    (FastText, lambda one: _sourced(WebRecall(name="crawl", classifier=one, **WEB))),
    (FunctionPairs | Instructions, _tuned),
    (Source, _sourced),
    (TestSet, lambda one: _stepped(Decontaminate(benchmarks=(one,)))),
    (MinHash, lambda one: _stepped(Deduplicate(near=one))),
    (Rule, lambda one: _stepped(Filter(catalogue="none", rules=(one,)))),
    (Step, _stepped),
    (Dataset, _named),
    (Part, _shared),
    (Mixture, lambda one: _staged(_stage(mixture=one))),
    (HoldOut, lambda one: {"hold_out": one, "evaluations": (BitsPerByte(),)}),
    (Transformer, lambda one: {"model": one}),
    (Tokenizer, lambda one: {"tokenizer": one}),
    (Batches, _batched),
    (AdamW, lambda one: {"curriculum": Curriculum(stages=(_stage(optimizer=one),))}),
    (Parallelism, lambda one: {"curriculum": Curriculum(stages=(_stage(parallelism=one),))}),
    (Guard, lambda one: {"curriculum": Curriculum(stages=(_stage(guard=one),))}),
    (WSD | Cosine, lambda one: {"curriculum": Curriculum(stages=(_stage(schedule=one),))}),
    (Decay, lambda one: _staged(_stage(), _anneal(one))),
    (FineTune, lambda one: _tuned(*INSTRUCTIONS, stage=one)),
    (Anneal, lambda one: _staged(_stage(), one)),
    (Pretrain, _staged),
    (Curriculum, lambda one: _two(curriculum=one, instructions=INSTRUCTIONS)),
    (Evaluation, _measured),
)
"""Where an object of a kind stands in an experiment: the first that fits."""

OTHERS: dict[str, tuple[Any, ...]] = {
    "Part.dataset": ("third",),
    "FunctionPairs.dataset": ("more",),
    "LiveCodeBench.window": ("2305-2408",),
    "Experiment.curriculum": (
        Curriculum(stages=(_stage(),)),
        Curriculum(stages=(_stage(seed=7), written(FineTune))),
    ),
    **{f"{kind.__name__}.stages": (("base",),) for kind in concrete_kinds(Evaluation)},
}
"""More values of fields: names of other objects of the host, and what has a form of its own."""
