"""lower_data: data sets -> fetch, sign, deduplicate, refine and select tasks.

Content is read at most twice: by sign, which writes only keys and verdicts, and by refine, which reads the
survivors and writes clean text once. Everything between works on keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from compiler import ir
from compiler.banding import banding
from compiler.draft import DatasetTasks, Draft
from compiler.passes.lower_decontamination import lower_decontamination
from compiler.passes.lower_web import lower_web
from compiler.passes.resolve import content_digest, format_of
from compiler.plan import Input, Task
from compiler.quality_rules import DEFAULT_RULES, ExpressionRule, QualityRule
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
    Rule,
    SelectKeywords,
    Step,
)
from ocspec.sources import PyPI, Source, WebRecall

TWINS = MinHash(bands=16, rows=128)  # near twins of held-out documents are found as OpenCoder finds near duplicates


def lower_data(draft: Draft) -> Draft:
    """Add the tasks of every data set; a data set stands after the one that it starts from."""
    for dataset in in_order(draft.experiment.data):
        draft = _add(draft, dataset)
    return draft


def _add(draft: Draft, dataset: Dataset) -> Draft:
    """The tasks of a data set. They depend on what of it is read, what is held out, its base, and others' names."""
    of = (dataset, draft.experiment.hold_out, *draft.sources.values())
    others = tuple(other.name for other in draft.experiment.data if other.sources)
    values = draft.base, others, draft.datasets.get(dataset.base or "")
    lowered = draft.memo.get("data set", of, lambda: _lowered(attrs.evolve(draft, tasks=()), dataset), values)
    return draft.add(*lowered.tasks, datasets={**draft.datasets, dataset.name: lowered.datasets[dataset.name]})


def _lowered(draft: Draft, dataset: Dataset) -> Draft:
    draft = _refine_sources(draft, dataset) if dataset.sources else _start_from_base(draft, dataset)
    return _select(draft, dataset)


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
    for source in sorted(dataset.sources, key=lambda source: source.identity_name):  # their order means nothing
        reader, tasks = _reader(draft, dataset, source)
        readers.append(reader)
        if tasks:
            draft = draft.add(*tasks)
            fetched.append(Input(role=f"fetched:{reader.source}", task=tasks[-1].id))
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
            expressions=tuple(
                rule for step in dataset.steps if isinstance(step, Filter) for rule in _expressions(step)
            ),
        ),
        inputs=(*fetched, Input(role="kept", task=kept)),
        spec_paths=(
            f"{path}.sources",
            *(f"{path}.steps.{k}" for k, s in steps if isinstance(s, Redact | Filter)),
        ),
        origin=draft.where(dataset),
    )
    return draft.add(refine, datasets={**draft.datasets, name: DatasetTasks(documents=refine.id)})


def _reader(draft: Draft, dataset: Dataset, source: Source) -> tuple[ir.Reader, tuple[Task, ...]]:
    """How a source is read, and the tasks that fetch it, if any: the last of them writes the documents."""
    fetched = ir.Reader(source=source.identity_name, format="documents")
    if isinstance(source, WebRecall):
        return fetched, lower_web(draft, dataset, source)
    if isinstance(source, PyPI):
        task = Task(
            id=f"{dataset.name}/fetch-{source.name}",
            op=_fetch(source),
            spec_paths=(f"data.{dataset.name}.sources.{source.name}",),
            origin=draft.where(source),
        )
        return fetched, (task,)
    columns = getattr(source, "columns", None)
    return ir.Reader(
        source=source.identity_name,
        format=format_of(source),  # type: ignore[arg-type]  # the table's values are the literals
        columns=ir.Columns(**columns.model_dump()) if columns else ir.Columns(),
        digest=content_digest(draft, source),
        location=getattr(source, "path", ""),
    ), ()


def _fetch(source: PyPI) -> ir.Operator:
    packages = sorted(source.packages, key=lambda package: package.key)
    return ir.FetchPackages(
        source=source.identity_name,
        packages=tuple(ir.PyPIPackage(name=p.name, version=p.version, sha256=p.sha256) for p in packages),
    )


def _rules(step: Filter) -> tuple[QualityRule, ...]:
    """The catalogue's rules, those with a probability under the step's seed, then one's own that compare a signal."""
    own = tuple(
        QualityRule(**{**rule.model_dump(exclude={"where"}), **_judged(rule)}) for rule in step.rules if not rule.where
    )
    catalogue = () if step.catalogue == "none" else DEFAULT_RULES
    return tuple(attrs.evolve(rule, seed=step.seed) if rule.probability < 1 else rule for rule in catalogue) + own


def _expressions(step: Filter) -> tuple[ExpressionRule, ...]:
    return tuple(ExpressionRule(name=rule.name, where=rule.where, **_judged(rule)) for rule in step.rules if rule.where)


def _judged(rule: Rule) -> dict[str, tuple[str, ...]]:
    """What a rule judges; the order of languages and kinds of file means nothing."""
    return {"languages": _as_set(rule.languages), "doc_types": _as_set(rule.doc_types)}


def _as_set(names: Iterable[str]) -> tuple[str, ...]:
    """Names of which neither order nor number means anything."""
    return tuple(sorted(set(names)))


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
            hold_out=_as_set(hold_out.repositories) if hold_out else (),
            chunk_tokens=next((step.chunk_tokens for _, step in dedups if step.granularity == "chunk"), 0),
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
                op=ir.DropTwins(
                    step="hold-out",
                    key=keys.index(minhash_key(TWINS)),
                    bands=banding(TWINS).bands,
                    threshold=banding(TWINS).threshold,
                ),
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
    chosen = banding(near)
    return ir.MinHashKey(
        granularity=granularity,
        bands=chosen.bands,
        rows=chosen.rows,
        ngram=near.ngram,
        seed=near.seed,
        unit=near.unit,
    )


def _distinct_keys(dedups: list[tuple[str, Deduplicate]], hold_out: bool) -> tuple[ir.MinHashKey, ...]:
    """Band keys to compute in the one reading pass, each once: those for held-out twins, then the steps'."""
    wanted = [minhash_key(TWINS)] if hold_out else []
    wanted += [minhash_key(step.near, step.granularity) for _, step in dedups if step.near]
    return tuple(dict.fromkeys(wanted))


def _admit(dataset: Dataset) -> ir.AdmitRule | None:
    """The data set's rule; without one every document is let in, also one without a known language."""
    admit = next((step for step in dataset.steps if isinstance(step, Admit)), None)
    if admit is None:
        return None
    return ir.AdmitRule(
        max_bytes=admit.max_bytes,
        languages=_as_set(admit.languages),
        doc_types=_as_set(admit.doc_types),
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
    """Edges, then clusters; a repository's signatures are first merged over its files, chunks are in sign's keys."""
    common: dict[str, Any] = {"spec_paths": (path,), "origin": draft.where(step)}
    survivors = Input(role="kept", task=kept)
    label = prefix.rsplit("/", maxsplit=1)[-1]
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
            bands=key.bands if key else 0,
        ),
        inputs=(Input(role="keys", task=source), survivors),
        **common,
    )
    cluster = Task(
        id=f"{prefix}/cluster",
        op=ir.Cluster(
            step=label,
            granularity=step.granularity,
            threshold=banding(step.near).threshold if step.near else None,
        ),
        inputs=(Input(role="keys", task=sign), survivors, Input(role="edges", task=edges.id), *extra),
        **common,
    )
    return draft.add(edges, cluster), cluster.id


# ---------------------------------------------------------------- selections of clean documents


def _select(draft: Draft, dataset: Dataset) -> Draft:
    """Steps that choose among clean documents: each writes ids only."""
    for key, step in zip(sibling_keys(dataset.steps), dataset.steps, strict=True):
        op = _selection(draft, key, step)
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


def _selection(draft: Draft, key: str, step: Step) -> ir.Operator | None:
    if isinstance(step, Downsample):
        return ir.Downsample(step=key, caps=tuple(sorted(step.caps.items())), seed=step.seed)
    if isinstance(step, SelectKeywords):
        return ir.Select(step=key, keywords=_as_set(step.keywords))
    if isinstance(step, Decontaminate):
        return ir.Decontaminate(step=key, **lower_decontamination(draft, step))
    return None
