"""lower_data: data sets -> fetch, sign, deduplicate, refine and select tasks.

Content is read at most twice: by sign, which writes only keys and verdicts, and by refine, which reads the
survivors and writes clean text once. Everything between works on keys.
"""

from __future__ import annotations

from typing import Any

import attrs

from compiler import ir
from compiler.draft import DatasetTasks, Draft
from compiler.passes.resolve import FORMATS, content_digest
from compiler.plan import Input, Task
from compiler.quality_rules import DEFAULT_RULES, QualityRule
from ocspec.base import sibling_keys
from ocspec.mixture import Dataset
from ocspec.refinement import (
    Admit,
    Decontaminate,
    Deduplicate,
    Downsample,
    Filter,
    MinHash,
    Redact,
    SelectKeywords,
    Step,
)
from ocspec.sources import PyPI, Source, WebRecall

TWINS = MinHash()  # near twins of held-out documents are found as OpenCoder finds near duplicates


def lower_data(draft: Draft) -> Draft:
    """Add the tasks of every data set; a data set stands after the one that it starts from."""
    for dataset in in_order(draft.experiment.data):
        draft = _refine_sources(draft, dataset) if dataset.sources else _start_from_base(draft, dataset)
        draft = _select(draft, dataset)
    return draft


def in_order(data: tuple[Dataset, ...]) -> list[Dataset]:
    """Data sets, each after its base."""
    done: dict[str, Dataset] = {}
    while len(done) < len(data):
        ready = [d for d in data if d.name not in done and (d.base is None or d.base in done)]
        assert ready, "a cycle of bases is refused by a rule"
        done |= {d.name: d for d in ready}
    return list(done.values())


def _start_from_base(draft: Draft, dataset: Dataset) -> Draft:
    assert dataset.base is not None
    base = draft.datasets[dataset.base]
    return attrs.evolve(draft, datasets={**draft.datasets, dataset.name: attrs.evolve(base, tokens=None)})


# ---------------------------------------------------------------- sources -> clean documents


def _refine_sources(draft: Draft, dataset: Dataset) -> Draft:
    path, name = f"data.{dataset.name}", dataset.name
    readers, fetched = [], []
    for source in dataset.sources:
        reader, task = _reader(draft, dataset, source)
        readers.append(reader)
        if task is not None:
            draft = draft.add(task)
            fetched.append(Input(role=f"fetched:{source.name}", task=task.id))
    steps = list(zip(sibling_keys(dataset.steps), dataset.steps, strict=True))
    draft, kept = _sign_and_deduplicate(draft, dataset, tuple(readers), tuple(fetched), steps)
    refine = Task(
        id=f"{name}/refine",
        op=ir.Refine(
            dataset=name,
            readers=tuple(readers),
            redact_copyright=any(isinstance(s, Redact) and s.copyright for s in dataset.steps),
            redact_pii=any(isinstance(s, Redact) and s.pii for s in dataset.steps),
            rules=tuple(rule for step in dataset.steps if isinstance(step, Filter) for rule in _rules(step)),
        ),
        inputs=(*fetched, Input(role="kept", task=kept)),
        spec_paths=(
            f"{path}.sources",
            *(f"{path}.steps.{k}" for k, s in steps if isinstance(s, Redact | Filter)),
        ),
        origin=draft.where(dataset),
    )
    return draft.add(refine, datasets={**draft.datasets, name: DatasetTasks(documents=refine.id)})


def _reader(draft: Draft, dataset: Dataset, source: Source) -> tuple[ir.Reader, Task | None]:
    if isinstance(source, PyPI | WebRecall):
        task = Task(
            id=f"{dataset.name}/fetch-{source.name}",
            op=_fetch(draft, source),
            spec_paths=(f"data.{dataset.name}.sources.{source.name}",),
            origin=draft.where(source),
        )
        return ir.Reader(source=source.name, format="documents"), task
    columns = getattr(source, "columns", None)
    return ir.Reader(
        source=source.name,
        format=FORMATS[type(source)],  # type: ignore[arg-type]  # the table's values are the literals
        columns=ir.Columns(**columns.model_dump()) if columns else ir.Columns(),
        digest=content_digest(draft, source),
        location=getattr(source, "path", ""),
    ), None


def _fetch(draft: Draft, source: PyPI | WebRecall) -> ir.Operator:
    if isinstance(source, WebRecall):
        digest = content_digest(draft, source)
        return ir.RecallWeb(
            dataset=source.name,
            readers=(ir.Reader(source=source.name, format="parquet", digest=digest, location=source.pages),),
            seed_location=source.seed,
            iterations=source.iterations,
            domain_share=source.domain_share,
            url_patterns=tuple(sorted(source.url_patterns)),
        )
    packages = sorted(source.packages, key=lambda package: package.key)
    return ir.FetchPackages(
        source=source.name,
        packages=tuple(ir.PyPIPackage(name=p.name, version=p.version, sha256=p.sha256) for p in packages),
    )


def _rules(step: Filter) -> tuple[QualityRule, ...]:
    own = tuple(QualityRule(**rule.model_dump()) for rule in step.rules)
    return own if step.catalogue == "none" else DEFAULT_RULES + own


# ---------------------------------------------------------------- keys and verdicts


def _sign_and_deduplicate(
    draft: Draft,
    dataset: Dataset,
    readers: tuple[ir.Reader, ...],
    fetched: tuple[Input, ...],
    steps: list[tuple[str, Step]],
) -> tuple[Draft, str]:
    """Add sign, hold-out and deduplication tasks; returns the task that says which documents are kept."""
    path, name = f"data.{dataset.name}", dataset.name
    hold_out = draft.experiment.hold_out
    dedups = [(key, step) for key, step in steps if isinstance(step, Deduplicate)]
    keys = _distinct_keys(dedups, bool(hold_out))
    sign = Task(
        id=f"{name}/sign",
        op=ir.Sign(
            dataset=name,
            readers=readers,
            admit=_admit(dataset),
            near=keys,
            hold_out=tuple(sorted(hold_out.repositories)) if hold_out else (),
        ),
        inputs=fetched,
        spec_paths=(
            f"{path}.sources",
            *(f"{path}.steps.{key}" for key, step in steps if isinstance(step, Admit | Deduplicate)),
            "hold_out",
        ),
        origin=draft.where(dataset),
    )
    draft, kept = draft.add(sign), sign.id
    if hold_out:
        draft = draft.add(
            Task(
                id=f"{name}/hold-out",
                op=ir.DropTwins(step="hold-out", key=keys.index(minhash_key(TWINS)), threshold=TWINS.threshold),
                inputs=(Input(role="keys", task=sign.id), *_other_keys(draft, dataset)),
                spec_paths=("hold_out",),
                origin=draft.where(hold_out),
            )
        )
        kept = f"{name}/hold-out"
    for key, step in dedups:
        draft, kept = _deduplicate(draft, f"{name}/{key}", f"{path}.steps.{key}", step, keys, sign.id, kept)
    return draft, kept


def _other_keys(draft: Draft, dataset: Dataset) -> list[Input]:
    """The keys of the other data sets: a copy of what is held out there is not trained on here either."""
    others = [other for other in draft.experiment.data if other.sources and other.name != dataset.name]
    return [Input(role="held", task=f"{other.name}/sign") for other in others]


def minhash_key(near: MinHash, granularity: ir.Granularity = "file") -> ir.MinHashKey:
    """The band keys that a MinHash asks for."""
    return ir.MinHashKey(granularity=granularity, bands=near.bands, rows=near.rows, ngram=near.ngram, seed=near.seed)


def _distinct_keys(dedups: list[tuple[str, Deduplicate]], hold_out: bool) -> tuple[ir.MinHashKey, ...]:
    """Band keys to compute in the one reading pass, each once: those for held-out twins, then the steps'."""
    wanted = [minhash_key(TWINS)] if hold_out else []
    wanted += [minhash_key(step.near, step.granularity) for _, step in dedups if step.near]
    return tuple(dict.fromkeys(key for key in wanted if key.granularity != "chunk"))


def _admit(dataset: Dataset) -> ir.AdmitRule | None:
    """The data set's rule; without one every document is let in, also one without a known language."""
    admit = next((step for step in dataset.steps if isinstance(step, Admit)), None)
    if admit is None:
        return None
    return ir.AdmitRule(
        max_bytes=admit.max_bytes,
        languages=tuple(sorted(admit.languages)),
        doc_types=tuple(sorted(admit.doc_types)),
    )


def _deduplicate(
    draft: Draft,
    prefix: str,
    path: str,
    step: Deduplicate,
    keys: tuple[ir.MinHashKey, ...],
    sign: str,
    kept: str,
) -> tuple[Draft, str]:
    """Edges, then clusters; a repository's signatures are first merged over its files."""
    common: dict[str, Any] = {"spec_paths": (path,), "origin": draft.where(step)}
    survivors = Input(role="kept", task=kept)
    label = prefix.rsplit("/", maxsplit=1)[-1]
    if step.granularity == "chunk":
        near = minhash_key(step.near, "chunk") if step.near else None
        op = ir.DedupChunks(step=label, exact=step.exact, near=near, chunk_tokens=step.chunk_tokens)
        chunks = Task(id=f"{prefix}/chunks", op=op, inputs=(Input(role="keys", task=sign), survivors), **common)
        return draft.add(chunks), chunks.id
    key = minhash_key(step.near, step.granularity) if step.near else None
    index = keys.index(key) if key else None
    source, extra = sign, tuple[Input, ...]()
    if step.granularity == "repository":
        merge = Task(
            id=f"{prefix}/merge",
            op=ir.MergeSignatures(key=key, index=index),
            inputs=(Input(role="keys", task=sign), survivors),
            **common,
        )
        draft, source, extra = draft.add(merge), merge.id, (Input(role="repositories", task=merge.id),)
    edges = Task(
        id=f"{prefix}/edges",
        op=ir.Edges(
            granularity=step.granularity,
            exact=step.exact,
            key=index,
            bands=step.near.bands if step.near else 0,
        ),
        inputs=(Input(role="keys", task=source), survivors),
        **common,
    )
    cluster = Task(
        id=f"{prefix}/cluster",
        op=ir.Cluster(step=label, granularity=step.granularity, threshold=step.near.threshold if step.near else None),
        inputs=(Input(role="keys", task=sign), survivors, Input(role="edges", task=edges.id), *extra),
        **common,
    )
    return draft.add(edges, cluster), cluster.id


# ---------------------------------------------------------------- selections of clean documents


def _select(draft: Draft, dataset: Dataset) -> Draft:
    """Steps that choose among clean documents: each writes ids only."""
    for key, step in zip(sibling_keys(dataset.steps), dataset.steps, strict=True):
        op = _selection(key, step)
        if op is None:
            continue
        tasks = draft.datasets[dataset.name]
        inputs = [Input(role="documents", task=tasks.documents)]
        if tasks.selection:
            inputs.append(Input(role="selection", task=tasks.selection))
        task = Task(
            id=f"{dataset.name}/{key}",
            op=op,
            inputs=tuple(inputs),
            spec_paths=(f"data.{dataset.name}.steps.{key}",),
            origin=draft.where(step),
        )
        chosen = {**draft.datasets, dataset.name: attrs.evolve(tasks, selection=task.id)}
        draft = draft.add(task, datasets=chosen)
    return draft


def _selection(key: str, step: Step) -> ir.Operator | None:
    if isinstance(step, Downsample):
        return ir.Downsample(step=key, caps=tuple(sorted(step.caps.items())), seed=step.seed)
    if isinstance(step, SelectKeywords):
        return ir.Select(step=key, keywords=tuple(sorted(step.keywords)))
    if isinstance(step, Decontaminate):
        return ir.Decontaminate(step=key, benchmarks=tuple(sorted(step.benchmarks)), ngram=step.ngram)
    return None
