"""Adoption: an artefact that is there already, under the name of a task that has not been run.

For an operator whose version was raised without its bytes changing, and for what was built in another store. Nothing is
believed: outputs are read and digested again, and the operator, its fields, roles and inputs are compared. Not a way
to call one result by the name of another: a field that differs is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from compiler import canonical
from compiler.errors import UserError
from compiler.plan import Plan, Task
from runtime import digest
from runtime.journal import Journal
from runtime.store import MANIFEST, Store
from runtime.task import Artifact

SHARD_IN_NAME = re.compile(r"^\d{5}-")
ELSEWHERE = "build the task, or adopt what was built of the same"


@attrs.frozen(kw_only=True)
class Adopted:
    """What was done: the artefact, and whether it had its place already."""

    artifact: Artifact
    was_there: bool


def adopt(artefact: str, task: Task, plan: Plan, store: Store, journal: Journal) -> Adopted:
    """Let `task` have an artefact: a directory with a manifest, or the key or fingerprint of one in this store.

    Raises UserError with all that does not fit.
    """
    if (built := store.find(task.fingerprint)) is not None:
        return Adopted(artifact=built, was_there=True)
    source = _located(artefact, store)
    manifest = _manifest(source)
    problems = [*_differences(task, manifest), *_other_inputs(task, plan, manifest, store)]
    problems = problems or list(_damage(source, manifest))
    if problems:
        what = f"{manifest['task']} cannot be adopted as {task.id}: {'; '.join(problems)}"
        raise UserError(what, where=str(source), fix=ELSEWHERE)
    key, preimage = _key(task, manifest)
    if store.artifact(key) is None:
        store.adopt(source, key, _renamed(task, key, preimage, manifest))
    store.remember(task.fingerprint, key)
    journal.write("adopted", task=task.id, key=key, of=manifest["key"], operator=operator(manifest))
    artifact = store.artifact(key)
    assert artifact is not None
    return Adopted(artifact=artifact, was_there=False)


def operator(manifest: Mapping[str, Any]) -> str:
    """What made an artefact: `data.sign/2`."""
    return str(manifest["plan_preimage"][1][1])


def _located(artefact: str, store: Store) -> Path:
    """The directory of an artefact that is named by its place, or by the first digits of its key or fingerprint."""
    if (Path(artefact) / MANIFEST).is_file():
        return Path(artefact).resolve()
    found: set[str] = set()
    if re.fullmatch(r"[0-9a-f]{6,64}", artefact):
        found = {path.name for path in (store.root / "artifacts").glob(f"{artefact}*")}
        for link in (store.root / "fingerprints").glob(f"{artefact}*.json"):
            found.add(json.loads(link.read_text())["key"])
    if len(found) != 1:
        what = (
            "several artefacts begin so" if found else "no artefact: no directory with a manifest, no key in the store"
        )
        fix = "give a directory store/artifacts/KEY, or more digits of a key or fingerprint"
        raise UserError(what, where=artefact, fix=fix)
    return store.root / "artifacts" / found.pop()


def _manifest(source: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_text())
        known = manifest["format_version"] == 1 and {"key", "outputs", "files", "inputs", "shards"} <= manifest.keys()
        operator(manifest)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        known = False
    if not known:
        raise UserError("its manifest cannot be read", where=str(source / MANIFEST), fix="choose another artefact")
    return manifest


def _differences(task: Task, manifest: Mapping[str, Any]) -> Iterator[str]:
    """What of the operator is not as the task wants it; its version may differ."""
    wanted, made = f"{task.op.op_id}/{task.op.op_version}", operator(manifest)
    if made.rpartition("/")[0] != task.op.op_id:
        yield f"it was made by {made}, the task is {wanted}"
        return
    for path, before, after in canonical.differences(manifest["plan_preimage"][1], task.preimage[1]):
        if path != "kind":
            yield f"{path} is {_short(before)} in it, {_short(after)} in the task"
    outputs = {name: output["kind"] for name, output in manifest["outputs"].items()}
    if outputs != task.op.outputs:
        yield f"its outputs are {_listed(outputs)}, the task's {_listed(task.op.outputs)}"


def _other_inputs(task: Task, plan: Plan, manifest: Mapping[str, Any], store: Store) -> Iterator[str]:
    """Inputs that are built, and are not what the artefact was made of; of others nothing is known."""
    given: dict[str, list[Artifact | None]] = {}
    for item in task.inputs:
        given.setdefault(item.role, []).append(store.find(plan.task(item.task).fingerprint))
    made_of = {role: [one["digest"] for one in inputs] for role, inputs in manifest["inputs"].items()}
    counts = ({role: len(ids) for role, ids in each.items()} for each in (made_of, given))
    before, after = counts
    if before != after:
        yield f"it was made of {_listed(before)}, the task reads {_listed(after)}"
        return
    for role, artifacts in given.items():
        digests: Sequence[str | None] = [artifact.manifest["digest"] if artifact else None for artifact in artifacts]
        was = made_of[role]
        if role in task.op.unordered and None not in digests:
            digests, was = sorted(map(str, digests)), sorted(was)
        if any(now is not None and now != then for now, then in zip(digests, was, strict=True)):
            yield f"its input {role} had other content than the one that is built here"


def _damage(source: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Files that are not as the manifest says: missing, of another size or content."""
    sizes = {name: size for name, size in manifest["files"].items() if _size(source / name) != size}
    if sizes:
        yield f"{len(sizes)} of its files are missing or cut short, such as {min(sizes)}"
        return
    for name, output in manifest["outputs"].items():
        if (
            "digest" in output
            and digest.combine([_again(source / name, output, manifest)])["digest"] != output["digest"]
        ):
            yield f"the content of its output {name} is not what the manifest says"


def _again(directory: Path, output: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """An output's digest, anew; names lead with the shard's number where there were several, which digests do not."""
    found = digest.digest_output(directory, output["kind"])
    if "files" in found and len(manifest["shards"]) > 1:
        found["files"] = {_without_shard(name): content for name, content in found["files"].items()}
    return found


def _without_shard(name: str) -> str:
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{SHARD_IN_NAME.sub('', last)}"


def _key(task: Task, manifest: Mapping[str, Any]) -> tuple[str, canonical.Tree]:
    """The key that the task would have had over the same contents."""
    contents = {role: [one["digest"] for one in inputs] for role, inputs in manifest["inputs"].items()}
    preimage = canonical.task_preimage(task.op, contents)
    return canonical.fingerprint(preimage), preimage


def _renamed(task: Task, key: str, preimage: canonical.Tree, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest under its new names; where it came from is told beside what made it."""
    names = ("task", "key", "fingerprint", "code")
    came_from = {name: manifest.get(name) for name in names} | {"operator": operator(manifest)}
    return {
        **manifest,
        "task": task.id,
        "key": key,
        "fingerprint": task.fingerprint,
        "preimage": preimage,
        "plan_preimage": task.preimage,
        "adopted": [*manifest.get("adopted", ()), came_from],
    }


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({value})" for name, value in sorted(names.items())) or "nothing"


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
