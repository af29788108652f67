"""lower_web: a crawl and a seed -> rounds of train, score and expand, then the pages that stay, as documents.

The rounds are unrolled: each is three tasks of the plan. A round that adds nothing to the seed changes no
input of the next, whose tasks are then cut off.
"""

from __future__ import annotations

from typing import Any

from compiler import ir
from compiler.draft import Draft
from compiler.passes.resolve import SEED, content_digest
from compiler.plan import Input, Task
from ocspec.mixture import Dataset
from ocspec.refinement import exact_share
from ocspec.sources import WebRecall

URL_COLUMNS = ir.Columns(content="text", doc_id="url", repo="", path="")
"""A page is called by its URL; where it stands in its file becomes its path."""


def lower_web(draft: Draft, dataset: Dataset, source: WebRecall) -> tuple[Task, ...]:
    """The tasks of one crawl; the last writes the documents."""
    web = _Web(draft, dataset, source)
    sample, segment = web.prepare()
    rounds: list[tuple[Task, Task, Task]] = []
    for iteration in range(1, source.iterations + 1):
        rounds.append(web.round(iteration, segment, [expand for _, _, expand in rounds]))
    return sample, segment, *(task for tasks in rounds for task in tasks), *web.finish(segment, rounds)


class _Web:
    """Makes the tasks of one crawl."""

    def __init__(self, draft: Draft, dataset: Dataset, source: WebRecall) -> None:
        self._source = source
        self._id = f"{dataset.name}/fetch-{source.name}"
        self._path = f"data.{dataset.name}.sources.{source.name}"
        self._origin = draft.where(source)
        self._pages = ir.Reader(
            source=source.identity_name,
            format="parquet",
            columns=URL_COLUMNS,
            digest=content_digest(draft, source),
            location=source.pages,
        )
        self._seed = ir.Reader(
            source=f"{source.identity_name}/{SEED}",
            format="parquet",
            columns=URL_COLUMNS,
            digest=content_digest(draft, source, SEED),
            location=source.seed,
        )

    def _task(self, step: str, op: ir.Operator, fields: tuple[str, ...], **inputs: list[Task]) -> Task:
        return Task(
            id=f"{self._id}/{step}" if step else self._id,
            op=op,
            inputs=tuple(Input(role=role, task=task.id) for role, tasks in inputs.items() for task in tasks),
            spec_paths=tuple(f"{self._path}.{field}" for field in fields),
            origin=self._origin,
        )

    def prepare(self) -> tuple[Task, Task]:
        """A sample of the crawl; then the words that everything is cut into."""
        source = self._source
        sample = self._task(
            "sample",
            ir.SampleWeb(
                readers=(self._pages,),
                pages=source.sample_pages,
                page_bytes=source.page_bytes,
                seed=source.random_seed,
            ),
            ("name", "aka", "pages", "declared", "sample_pages", "page_bytes", "random_seed"),
        )
        segment = self._task(
            "segment",
            ir.SegmentWeb(
                readers=(self._seed,),
                vocab_size=source.vocab_size,
                page_bytes=source.page_bytes,
                held_out=exact_share(source.held_out_share),
                seed=source.random_seed,
            ),
            ("name", "aka", "seed", "declared", "vocab_size", "page_bytes", "held_out_share", "random_seed"),
            sample=[sample],
        )
        return sample, segment

    def round(self, iteration: int, segment: Task, before: list[Task]) -> tuple[Task, Task, Task]:
        """Train on what the rounds before left, score every page, find domains and the pages that they add."""
        source, name = self._source, f"round-{iteration}"
        settings = source.classifier
        model_mb = (source.vocab_size + settings.buckets) * settings.dim * 4 >> 20
        train = self._task(
            f"{name}/fit",
            ir.TrainWeb(
                classifier=ir.FastText(**settings.model_dump()),
                threshold=source.threshold,
                pages=source.sample_pages,
                seed=source.random_seed,
                model_mb=model_mb,
            ),
            ("iterations", "classifier", "threshold", "sample_pages", "random_seed"),
            segment=[segment],
            joined=before,
        )
        score = self._task(
            f"{name}/score",
            ir.ScoreWeb(
                readers=(self._pages,),
                page_bytes=source.page_bytes,
                threshold=source.threshold,
                url_patterns=tuple(sorted(set(source.url_patterns))),
                model_mb=model_mb,
            ),
            ("name", "aka", "pages", "iterations", "declared", "page_bytes", "threshold", "url_patterns"),
            segment=[segment],
            train=[train],
        )
        share = exact_share(source.domain_share)
        expand = self._task(
            f"{name}/expand",
            ir.ExpandWeb(iteration=iteration, threshold=source.threshold, domain_share=share),
            ("iterations", "threshold", "domain_share"),
            train=[train],
            score=[score],
            joined=before,
        )
        return train, score, expand

    def finish(self, segment: Task, rounds: list[tuple[Task, Task, Task]]) -> tuple[Task, Task]:
        """The verdict on every page, then the documents."""
        source = self._source
        settle: dict[str, Any] = {"expand": [expand for _, _, expand in rounds], "score": [rounds[-1][1]]}
        verdicts = self._task(
            "settle",
            ir.SettleWeb(source=source.identity_name, threshold=source.threshold),
            ("name", "aka", "iterations", "threshold"),
            segment=[segment],
            **settle,
        )
        documents = self._task(
            "",
            ir.RecallWeb(readers=(self._pages,), threshold=source.threshold),
            ("name", "aka", "pages", "declared", "threshold"),
            settle=[verdicts],
        )
        return verdicts, documents
