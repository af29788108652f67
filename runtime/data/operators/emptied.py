"""The message for a data set of which nothing is left: what each step before kept. It decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from compiler.errors import UserError
from runtime.task import Artifact

MOST_RULES = 3


def nothing_left(dataset: str, purpose: str, artifacts: Iterable[Artifact]) -> UserError:
    """The error that `dataset` has no document for `purpose`, with the funnel of the artefacts' ancestors."""
    seen: set[str] = set()
    steps = [step for artifact in artifacts for step in _steps(artifact, seen)]
    funnel = "; ".join(_line(step) for step in steps if step["stats"]["in"])
    if steps and steps[-1]["stats"]["kept"]:
        funnel += f"; these {steps[-1]['stats']['kept']} are held out"
    what = f"no document of data set {dataset!r} is left {purpose}"
    return UserError(f"{what}: {funnel}" if funnel else what, fix="loosen the step that drops them, or add data")


def _steps(artifact: Artifact, seen: set[str]) -> Iterator[Mapping[str, Any]]:
    """Manifests of the steps that drop documents, first step first; those in `seen` were told already."""
    key = artifact.manifest.get("key", "")
    if key in seen:
        return
    seen.add(key)
    for role, inputs in artifact.manifest.get("inputs", {}).items():
        for made in inputs if role != "tokenizer" else ():
            path = artifact.path.with_name(made["key"])
            manifest = json.loads((path / "manifest.json").read_text())
            yield from _steps(Artifact(path=path, task_id=made["task"], manifest=manifest), seen)
    if "dropped" in artifact.manifest.get("stats", {}):
        yield artifact.manifest


def _line(manifest: Mapping[str, Any]) -> str:
    """`code/sign kept 2 of 9 (too_large 6, empty 1)`."""
    stats = manifest["stats"]
    rules = sorted(stats["dropped"].items(), key=lambda rule: (-rule[1], rule[0]))
    more = [f"{len(rules) - MOST_RULES} more"] if len(rules) > MOST_RULES else []
    shown = ", ".join([f"{rule} {count}" for rule, count in rules[:MOST_RULES]] + more)
    return f"{manifest['task']} kept {stats['kept']} of {stats['in']}" + (f" ({shown})" if shown else "")
