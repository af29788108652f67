"""Locking: experiment -> the text of its lock; and back, the digests of sources that cannot be seen from here.

What the lines mean is in `compiler.lock`, which reads and compares them. Nothing else of a lock is ever read back: the
spec is the only truth about the experiment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs

from compiler import ir
from compiler.draft import Draft, Pins
from compiler.errors import UserError
from compiler.lock import HEAD, RECORDED, entries
from compiler.metadata import SourceStats
from compiler.passes.resolve import SEED, TEST_SET, source_digests
from compiler.plan import Plan
from compiler.quality_rules import DEFAULT_RULES, QualityRule
from ocspec.base import describe
from ocspec.experiment import Experiment

LIBRARIES = ("duckdb", "numpy", "pyarrow", "tiktoken", "tokenizers", "torch", "tree-sitter")
SHORT = 16


def lock(draft: Draft, plan: Plan) -> str:
    """The text of the lock of a compiled experiment."""
    lines = {
        **dict(_object(plan.spec, "", f"{draft.base}{os.sep}")),
        **dict(_derived(plan)),
        **dict(_catalogue(plan)),
        **{f"operator:{task.op.op_id}": str(task.op.op_version) for task in plan.tasks},
        **dict(_sources(draft)),
        **{f"task:{task.id}": f"{task.op.op_id} {task.fingerprint[:SHORT]}" for task in plan.tasks},
        **dict(_versions()),
    }
    return HEAD + "".join(sorted(f"{path} = {value}\n" for path, value in lines.items()))


def _object(described: Mapping[str, Any], path: str, base: str) -> Iterator[tuple[str, str]]:
    """Its kind, then its fields; not those that document, which change nothing."""
    if path:
        yield path, described["kind"]
    for name, value in described["fields"].items():
        if described["roles"].get(name) != "doc":
            yield from _value(value, f"{path}.{name}" if path else name, base)


def _value(value: Any, path: str, base: str) -> Iterator[tuple[str, str]]:
    """A value, or the lines of its parts. Children are known by their keys, which stand once more in their order."""
    if isinstance(value, dict) and "fields" in value:
        yield from _object(value, path, base)
        return
    parts = _parts(value)
    if not parts:
        yield path, _text({} if isinstance(value, dict) else value, base)
        return
    if "keyed" in value:
        yield path, _text(list(parts), base)
    for key, part in parts.items():
        yield from _value(part, f"{path}.{key}", base)


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        parts: dict[str, Any] = value["keyed"] if "keyed" in value else value["map"]
        return parts
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return {str(number): item for number, item in enumerate(value)}
    return {}


def _text(value: Any, base: str) -> str:
    """A value on one line, as JSON in ASCII: in review no text hides; paths below the spec's directory from there."""
    return json.dumps(_from(value, base))


def _from(value: Any, base: str) -> Any:
    if isinstance(value, list | tuple):
        return [_from(item, base) for item in value]
    return value.removeprefix(base) if isinstance(value, str) else value


def _derived(plan: Plan) -> Iterator[tuple[str, str]]:
    """What a reviewer would work out by hand: parameters, steps and tokens, bands and rows."""
    yield "derived:parameters", str(plan.parameters)
    yield "derived:parameters_without_embeddings", str(plan.parameters_without_embeddings)
    for stage in plan.stages:
        yield f"derived:{stage.name}.steps", str(stage.steps)
        yield f"derived:{stage.name}.tokens", str(stage.tokens)
    for step in plan.deduplication:
        yield f"derived:{step.step}.bands", str(step.bands)
        yield f"derived:{step.step}.rows", str(step.rows)
        yield f"derived:{step.step}.threshold", str(step.threshold)


def _catalogue(plan: Plan) -> Iterator[tuple[str, str]]:
    """The rules that come with ocspec, where a data set is filtered by them; one's own are in the spec."""
    used = {rule.name for task in plan.tasks if isinstance(task.op, ir.Refine) for rule in task.op.rules}
    for rule in DEFAULT_RULES:
        if rule.name in used:
            yield f"catalogue:{rule.name}", _rule(rule)


def _rule(rule: QualityRule) -> str:
    """What it compares, then where it applies, as far as that is not the default."""
    shown = {"name", "signal", "comparison", "threshold", "seed"}
    where = (
        f"; {field.name} {_text(value, '')}"
        for field in attrs.fields(QualityRule)
        if field.name not in shown and (value := getattr(rule, field.name)) != field.default
    )
    return f"{rule.signal} {rule.comparison} {rule.threshold}" + "".join(where)


def _sources(draft: Draft) -> Iterator[tuple[str, str]]:
    """What is known of the content of everything that is read; sizes of what can be seen."""
    for name, content in source_digests(draft).items():
        yield f"source:{name}.digest", _text(content, "")[1:-1]  # a declared revision may be any text
        if stats := draft.sources.get(name):
            yield f"source:{name}.bytes", str(stats.bytes)
            yield f"source:{name}.files", str(stats.files)
            if stats.rows is not None:
                yield f"source:{name}.rows", str(stats.rows)
    if draft.tokenizer_digest:
        yield "source:tokenizer", _text(draft.tokenizer_digest, "")[1:-1]


def _versions() -> Iterator[tuple[str, str]]:
    for name in ("ocspec", *LIBRARIES):
        try:
            yield f"{RECORDED}{name}", version(name)
        except PackageNotFoundError:
            continue


def pins(text: str, experiment: Experiment, base: Path, where: str = "lock") -> Pins:
    """What a lock knows of the sources and the tokenizer that could be seen where it was made.

    Nothing of those that the spec describes in another way now: they may be others. What repositories a source holds
    is not in a lock. UserError for a text that is no lock.
    """
    lines = entries(text, where)
    now = dict(_object(describe(experiment), "", f"{base.resolve()}{os.sep}"))
    changed = [path for path in {*lines, *now} if ":" not in path and lines.get(path) != now.get(path)]
    sources = {
        name: stats for name, stats in _pinned(lines, where) if not any(map(_description(name).fullmatch, changed))
    }
    tokenizer = lines.get("source:tokenizer", "")
    if len(tokenizer) != 64 or any(f"{path}.".startswith("tokenizer.") for path in changed):
        tokenizer = ""
    return Pins(sources=sources, tokenizer=tokenizer)


def _description(name: str) -> re.Pattern[str]:
    """The paths at and below which a spec describes what a lock calls `source:NAME`."""
    own = re.escape(name.removeprefix(f"{TEST_SET}/").removesuffix(f"/{SEED}"))
    places = r".+\.benchmarks" if name.startswith(f"{TEST_SET}/") else r"data\..+\.sources|instructions"
    return re.compile(rf"(?:{places})\.{own}(?:\..+)?")


def _pinned(lines: Mapping[str, str], where: str) -> Iterator[tuple[str, SourceStats]]:
    for path, content in lines.items():
        name, rule = path.removeprefix("source:").removesuffix(".digest"), content.partition(":")[0]
        if path != f"source:{name}.digest" or rule not in {"bytes", "footer"}:
            continue
        size, files, rows = (lines.get(f"source:{name}.{field}", "") for field in ("bytes", "files", "rows"))
        if not (size.isdecimal() and files.isdecimal() and (rows.isdecimal() or not rows)):
            fix = "delete the lock, and run `ocspec lock` where the data is"
            raise UserError(f"the sizes of source {name!r} are no numbers", where=where, fix=fix)
        yield (
            name,
            SourceStats(
                files=int(files),
                rows=int(rows) if rows else None,
                bytes=int(size),
                digest=content,
                rule="bytes" if rule == "bytes" else "footer",
            ),
        )
