"""What stands beside an artefact: where it came from, what it holds, how long it took. It is checked before it is made.

Not the store, which keeps it, nor the digests of outputs, which are `digest`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compiler import canonical
from compiler import plan as plans
from compiler.errors import UserError
from compiler.plan import Plan, Task
from runtime import code_version, digest
from runtime.lineage.trail import role_before
from runtime.task import Artifact


def manifest(
    plan: Plan,
    task: Task,
    key: str,
    preimage: canonical.Tree,
    inputs: Mapping[str, tuple[Artifact, ...]],
    results: list[dict[str, Any]],
) -> dict[str, Any]:
    """What stands beside an artefact: where it came from, what it holds, how long it took."""
    outputs = {name: digest.combine(r["outputs"][name] for r in results) for name in task.op.outputs}
    stats = _sum([result["stats"] for result in results])
    if "in" in stats and stats["in"] != stats["kept"] + _total(stats.get("dropped", {})):
        raise AssertionError(
            f"{task.id} lost documents: {stats['in']} in, {stats['kept']} kept, {stats['dropped']} dropped"
        )
    check_chain(task, inputs, stats)
    content = [f"{name}\0{output['digest']}" for name, output in sorted(outputs.items()) if "digest" in output]
    return {
        "format_version": 1,
        "task": task.id,
        "key": key,
        "fingerprint": task.fingerprint,
        "digest": digest.hash_lines(content),
        "outputs": outputs,
        "stats": stats,
        "preimage": preimage,
        "plan_preimage": plan.preimage(task),
        "inputs": {
            role: [{"task": a.task_id, "key": a.manifest["key"], "digest": a.manifest["digest"]} for a in artifacts]
            for role, artifacts in inputs.items()
        },
        "shards": [result["timing"] for result in results],
        "code": code_version.code_version(),
        "resources": plans.CONVERTER.unstructure(task.resources),
    }


def check_chain(task: Task, inputs: Mapping[str, tuple[Artifact, ...]], stats: Mapping[str, Any]) -> None:
    """Refuse a step into which other documents went than the step before let through."""
    role = role_before(task)
    for before in inputs.get(role, ()) if role and "in" in stats else ():
        left = before.manifest.get("stats", {})
        # Where a step counts chunks, `documents` counts documents.
        went_in, came_out = stats.get("documents", stats)["in"], left.get("documents", left).get("kept")
        if came_out is not None and went_in != came_out:
            raise UserError(
                f"{task.id} was given {went_in} documents, but {before.task_id} let {came_out} through",
                fix="the sources changed while the plan ran: compile again; if they did not, this is a bug in ocspec",
            )


def _sum(trees: list[Any]) -> Any:
    """Add up trees of numbers; what one shard alone tells stays as it is, texts and lists included."""
    if len(trees) == 1:
        return trees[0]
    if not isinstance(trees[0], dict):
        return sum(trees)
    keys = sorted({key for tree in trees for key in tree})
    return {key: _sum([tree[key] for tree in trees if key in tree]) for key in keys}


def _total(tree: Any) -> int:
    return sum(_total(value) for value in tree.values()) if isinstance(tree, dict) else int(tree)
