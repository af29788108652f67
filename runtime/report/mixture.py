"""What each stage drew: by data set exactly, by language as well as can be known without reading the tokens.

A sequence holds pieces of several documents, so languages are an estimate: a data set's drawn tokens are
spread over its languages as its training documents' bytes are (instruction pairs: as their number is).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from compiler import ir
from compiler.plan import Task
from runtime.report.built import Built
from runtime.report.facts import MixPart, StageMix

BLEND = Path("blend")
NO_LANGUAGE = "(none)"


def mixes(built: Built) -> tuple[StageMix, ...]:
    """The mixture of every stage, in the order of the stages."""
    draws = {task.op.stage: task for task in built.plan.tasks if isinstance(task.op, ir.Draw | ir.DrawSamples)}
    languages: dict[str, Mapping[str, float]] = {}
    return tuple(_mix(draws[stage.name], built, languages) for stage in built.plan.stages if stage.name in draws)


def _mix(task: Task, built: Built, languages: dict[str, Mapping[str, float]]) -> StageMix:
    """One stage; `languages` remembers what is known by token task, since stages share those."""
    asked = _asked(task)
    mix = StageMix(
        stage=getattr(task.op, "stage", task.id),
        unit="samples" if isinstance(task.op, ir.DrawSamples) else "sequences",
        status=built.status(task.id),
        parts=tuple(MixPart(dataset=name, asked=share) for name, share in asked.items()),
    )
    blend = built.read_json(task.id, f"{BLEND}/blend.json")
    if blend is None:
        return mix
    shares = drawn_shares(blend, built.artifacts[task.id].path / BLEND)
    tokens = [item.task for item in task.inputs if item.role == "tokens"]
    for token_task in tokens:
        if token_task not in languages:
            languages[token_task] = _language_shares(built.plan.task(token_task), built)
    drawn = [
        MixPart(dataset=d["name"], asked=asked.get(d["name"]), drawn=d["drawn"], share=share)
        for d, share in zip(blend["datasets"], shares, strict=True)
    ]
    spread = _spread(shares, [languages[token_task] for token_task in tokens])
    return attrs.evolve(mix, parts=tuple(drawn), languages=spread)


def _asked(task: Task) -> dict[str, float | None]:
    """The share that the plan asks for of each data set; None for fine-tuning, which takes whole epochs."""
    if isinstance(task.op, ir.DrawSamples):
        return dict.fromkeys(task.op.datasets)
    assert isinstance(task.op, ir.Draw)
    return {share.dataset: float(share.share) for share in task.op.shares}


def _spread(shares: Sequence[float], languages: Sequence[Mapping[str, float]]) -> tuple[tuple[str, float], ...]:
    """Shares of languages over all data sets, largest first.

    >>> _spread([0.5, 0.5], [{"c": 1.0}, {"c": 0.5, "go": 0.5}])
    (('c', 0.75), ('go', 0.25))
    """
    total: dict[str, float] = {}
    for share, parts in zip(shares, languages, strict=True):
        for language, part in parts.items():
            total[language] = total.get(language, 0.0) + share * part
    return tuple(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def drawn_shares(blend: Mapping[str, Any], directory: Path) -> list[float]:
    """Each data set's share of the drawn tokens: sequences times their phase's length."""
    tokens = np.zeros(len(blend["datasets"]), dtype=np.int64)
    for phase in blend["phases"]:
        order = np.load(directory / phase["order"], mmap_mode="r")
        tokens += np.bincount(order[:, 0], minlength=len(tokens)) * phase["sequence_length"]
    return [float(share) for share in tokens / max(1, tokens.sum())]


def _language_shares(tokens: Task, built: Built) -> Mapping[str, float]:
    """Languages of what a token task was made from; empty where those artefacts are gone, or were made up."""
    if isinstance(tokens.op, ir.SmokeData):
        return {}
    if isinstance(tokens.op, ir.EncodePairs):
        pairs = _files(tokens, "pairs", "pairs", built)
        return (
            _normalised(_query("SELECT language, count(*) FROM read_parquet($files) GROUP BY 1", pairs))
            if pairs
            else {}
        )
    encode = built.plan.task(next(item.task for item in tokens.inputs if item.role == "tokens"))
    documents = _files(encode, "documents", "documents", built)
    selection = _files(encode, "selection", "selection", built)
    if not documents:
        return {}
    query = "SELECT language, sum(bytes) FROM read_parquet($files) WHERE NOT held_out"
    if selection:
        query += " AND position IN (SELECT s.position FROM read_parquet($selection) AS s)"
    return _normalised(_query(query + " GROUP BY 1", documents, selection))


def _files(task: Task, role: str, output: str, built: Built) -> list[str]:
    artifacts = [built.artifacts.get(item.task) for item in task.inputs if item.role == role]
    return [str(path) for artifact in artifacts if artifact for path in artifact.files(output)]


def _query(query: str, files: list[str], selection: list[str] | None = None) -> list[tuple[str | None, int]]:
    """Rows of a query over Parquet files; only the columns that it names are read."""
    import duckdb

    with duckdb.connect() as connection:
        named = {"files": files} | ({"selection": selection} if selection else {})
        rows: list[tuple[str | None, int]] = connection.execute(query, named).fetchall()
    return rows


def _normalised(rows: list[tuple[str | None, int]]) -> dict[str, float]:
    total = sum(int(amount or 0) for _, amount in rows)
    return {language or NO_LANGUAGE: int(amount or 0) / total for language, amount in rows} if total else {}
