"""Adoption: an artefact that is there already, under the name of a task that has not been run.

For an operator whose version was raised without its bytes changing, and for what was built in another store. Outputs
are read and digested again (of those without a digest, of the kinds parts and log, only names and sizes are known), and
the operator, its fields, roles and inputs are compared. Not a way to call one result by the name of another: a field
that differs is refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from compiler import canonical
from compiler.errors import UserError
from compiler.plan import Plan, Task
from runtime import digest
from runtime.full_disk import as_one_message
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

    Raises UserError with all that does not fit. A task that is built keeps what it has, whatever else would fit.
    """
    source = _located(artefact, store)
    manifest = _manifest(source)
    problems = list(_differences(task, manifest))
    if not problems and (built := store.find(task.fingerprint)) is not None:
        return Adopted(artifact=built, was_there=True)
    problems += _other_inputs(task, plan, manifest, store)
    problems = problems or list(_damage(source, manifest))
    if problems:
        what = f"{manifest['task']} cannot be adopted as {task.id}: {'; '.join(problems)}"
        raise UserError(what, where=str(source), fix=ELSEWHERE)
    key, preimage = _key(task, manifest)
    if store.artifact(key) is None:
        with as_one_message(f"{task.id} in {store.root}", fix="free some, or choose another --store"):
            store.adopt(source, key, _renamed(task, plan, key, preimage, manifest))
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
        links = (store.root / "fingerprints").glob(f"{artefact}*.json")
        found |= {built.path.name for link in links if (built := store.find(link.stem)) is not None}
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
        defined = {role: len(ids) for role, ids in _fingerprints(manifest["plan_preimage"]).items() if ids}
        known = known and defined == {role: len(inputs) for role, inputs in manifest["inputs"].items() if inputs}
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
    had, has = (["op", task.op.op_id, tree[2]] for tree in (manifest["plan_preimage"][1], canonical.to_tree(task.op)))
    for path, before, after in canonical.differences(had, has):
        yield f"{path} is {_short(before)} in it, {_short(after)} in the task"
    outputs = {name: output["kind"] for name, output in manifest["outputs"].items()}
    if outputs != task.op.outputs:
        yield f"its outputs are {_listed(outputs)}, the task's {_listed(task.op.outputs)}"


def _other_inputs(task: Task, plan: Plan, manifest: Mapping[str, Any], store: Store) -> Iterator[str]:
    """Inputs that are not what the artefact was made of: one that is built has its content, another its definition."""
    given: dict[str, list[Task]] = {}
    for item in task.inputs:
        given.setdefault(item.role, []).append(plan.task(item.task))
    before = {role: len(inputs) for role, inputs in manifest["inputs"].items()}
    now = {role: len(tasks) for role, tasks in given.items()}
    if before != now:
        yield f"it was made of {_listed(before)}, the task reads {_listed(now)}"
        return
    for role, tasks in given.items():
        yield from _other_role(role, tasks, manifest, store, any_order=role in task.op.unordered)


def _other_role(
    role: str, tasks: list[Task], manifest: Mapping[str, Any], store: Store, *, any_order: bool
) -> Iterator[str]:
    """What of one role differs. Whose definition is that of then needs not be built: its content was that."""
    contents = [one["digest"] for one in manifest["inputs"][role]]
    defined = _fingerprints(manifest["plan_preimage"])[role]
    found = [store.find(task.fingerprint) for task in tasks]
    digests = [str(artifact.manifest["digest"]) if artifact else "" for artifact in found]
    if any_order:
        fit = not Counter(filter(None, digests)) - Counter(contents)
        same = [sorted(task.fingerprint for task in tasks) == sorted(defined)] * len(tasks)
    else:
        fit = all(digest in ("", content) for digest, content in zip(digests, contents, strict=True))
        same = [task.fingerprint == then for task, then in zip(tasks, defined, strict=True)]
    if not fit:
        yield f"its input {role} had other content than the one that is built here"
    for task, artifact, is_same in zip(tasks, found, same, strict=True):
        if artifact is None and not is_same:
            yield f"its input {task.id} is not built here and was defined otherwise: build or adopt that first"


def _fingerprints(preimage: canonical.Tree) -> dict[str, list[str]]:
    """By role the fingerprints of what a task reads."""
    return {role[1]: [one[1] for one in ids[1]] for role, ids in preimage[2][1]}


def _damage(source: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Files that are not as the manifest says: missing, of another size or content, or not in it."""
    there = {
        str(path.relative_to(source))
        for output in manifest["outputs"]
        for path in (source / output).rglob("*")
        if path.is_file()
    }
    if other := sorted(there ^ manifest["files"].keys()):
        yield f"{len(other)} files are only in its manifest or only in its directory, such as {other[0]}"
        return
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


def _renamed(task: Task, plan: Plan, key: str, preimage: canonical.Tree, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest under its new names; where it came from is told beside what made it."""
    names = ("task", "key", "fingerprint", "code")
    came_from = {name: manifest.get(name) for name in names} | {"operator": operator(manifest)}
    return {
        **manifest,
        "task": task.id,
        "key": key,
        "fingerprint": task.fingerprint,
        "preimage": preimage,
        "plan_preimage": plan.preimage(task),
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
