"""What a plan would do to a store, and why: the action for every task, and the earliest change behind it.

A task that has to run is compared with what a task of its name made before, by the pre-images that manifests keep.
Where only its inputs differ, the comparison goes on with what made those, up to the tasks whose own operator is
another. It runs nothing, and does not know what anything costs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from compiler import canonical
from compiler.plan import Input, Plan, Task
from runtime.inventory import Entry, inventory, manifest_of
from runtime.store import Store
from runtime.task import Artifact
from runtime.worker import task_key

Action = Literal["reuse", "cut off", "rebuild", "new", "may cut off"]
ACTIONS: tuple[Action, ...] = ("reuse", "cut off", "rebuild", "new", "may cut off")
RUNS: frozenset[Action] = frozenset({"rebuild", "new", "may cut off"})
"""The actions for which a task has to run, as far as can be known before it."""

Code = Literal[
    "built",
    "same_content",
    "never_built",
    "artefact_missing",
    "artefact_damaged",
    "operator_changed",
    "inputs_replaced",
    "inputs_reordered",
    "input_changed",
    "input_missing",
]
MOST_COMPARED = 8
"""Of the artefacts of one name, so many, the latest, are compared; the nearest tells the reason."""

Change = tuple[str, Any, Any]


@attrs.frozen
class Cause:
    """A task that differs by itself: (path in its operator or `inputs.ROLE`, before, after) of all that does.

    No changes: it is not kept what it was, only that what it made differs.
    """

    task: str
    changes: tuple[Change, ...]


@attrs.frozen(kw_only=True)
class Reason:
    """Why a task has its action: `causes`, earliest first and the task itself last, against the artefact `key`."""

    code: Code
    causes: tuple[Cause, ...] = ()
    key: str | None = None


@attrs.frozen(kw_only=True)
class Outlook:
    """What is to become of one task. `waits_for` are the tasks that end right before it can start.

    `artifact` is what is there of it: for `reuse` and `cut off`.
    """

    task: Task
    action: Action
    reason: Reason
    waits_for: tuple[str, ...] = ()
    artifact: Artifact | None = None

    @property
    def runs(self) -> bool:
        """Whether it has to run, as far as is known."""
        return self.action in RUNS

    @property
    def cause(self) -> Cause | None:
        """What decides: its own difference, else the earliest before it."""
        own = [cause for cause in self.reason.causes if cause.task == self.task.id]
        return next(iter([*own, *self.reason.causes]), None)


def outlook(plan: Plan, store: Store) -> tuple[Outlook, ...]:
    """What would become of every task, in the plan's order.

    A task is cut off when its inputs turned out to hold what they held before: another fingerprint, the same key. Of
    one whose inputs are not all built that cannot be known: it may be, where something is there that the same
    operator made of what is known of its inputs.
    """
    looking = _Looking(plan, store)
    return tuple(looking.at(task) for task in plan.tasks)


class _Looking:
    """One walk through a plan, parents first; what was found of tasks before is at hand for those behind them."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._store = store
        self._inventory = inventory(store)
        self._tasks = {task.id: task for task in plan.tasks}
        self._order = {task.id: i for i, task in enumerate(plan.tasks)}
        self._built: dict[str, Artifact] = {}
        self._before: dict[str, set[str]] = {}
        self._reasons: dict[str, Reason] = {}
        self._manifests: dict[str, dict[str, Any] | None] = {}
        self._compared: dict[tuple[str, str], tuple[Cause, ...]] = {}

    def at(self, task: Task) -> Outlook:
        waiting = [upstream for upstream in task.upstream if upstream not in self._built]
        self._before[task.id] = set(waiting).union(*(self._before[upstream] for upstream in waiting))
        waits_for = tuple(one for one in waiting if not any(one in self._before[other] for other in waiting))
        artifact, action, reason = self._action(task, waiting)
        if artifact is not None:
            self._built[task.id] = artifact
            waits_for = ()
        else:
            self._reasons[task.id] = reason
        return Outlook(task=task, action=action, reason=reason, waits_for=waits_for, artifact=artifact)

    def _action(self, task: Task, waiting: list[str]) -> tuple[Artifact | None, Action, Reason]:
        if artifact := self._store.find(task.fingerprint):
            return artifact, "reuse", Reason(code="built", key=artifact.manifest["key"])
        if not waiting and (artifact := self._store.artifact(self._key(task))):
            return artifact, "cut off", Reason(code="same_content", key=artifact.manifest["key"])
        reason = self._reason(task, waiting)
        if waiting and self._may_be_cut_off(task):
            return None, "may cut off", reason
        return None, "new" if reason.code == "never_built" else "rebuild", reason

    def _key(self, task: Task) -> str:
        inputs: dict[str, tuple[Artifact, ...]] = {}
        for item in task.inputs:
            inputs[item.role] = (*inputs.get(item.role, ()), self._built[item.task])
        return task_key(task, inputs)[0]

    def _may_be_cut_off(self, task: Task) -> bool:
        """Whether the same operator has made something of inputs that differ in nothing that is known of them."""
        known = _digests_by_role(task, self._built)
        return any(
            e.operator == task.operator and _fits(known, e, task.op.unordered) for e in self._inventory.of(task.id)
        )

    # ------------------------------------------------------------ reasons

    def _reason(self, task: Task, waiting: list[str]) -> Reason:
        gone = _remembered(self._store, task.fingerprint)
        if gone is not None:
            set_aside = any((self._store.root / "damaged").glob(f"{gone}*"))
            return Reason(code="artefact_damaged" if set_aside else "artefact_missing", key=gone)
        found = self._inventory.of(task.id)[:MOST_COMPARED]
        compared = [(self._causes(task, entry.key), entry) for entry in found]
        if not compared:
            return Reason(code="never_built")
        causes, nearest = min(compared, key=lambda pair: sum(len(cause.changes) or 1 for cause in pair[0]))
        if not causes and waiting:  # as before in all that is known, but what it reads is not there
            first = min(self._before[task.id], key=self._order.__getitem__)
            return Reason(code="input_missing", causes=(Cause(first, ()),), key=nearest.key)
        return Reason(code=_code(task, causes), causes=causes, key=nearest.key)

    def _causes(self, task: Task, key: str) -> tuple[Cause, ...]:
        """What differs between a task and what made an artefact of its name, and between what they read."""
        if (task.id, key) not in self._compared:
            manifest = self._manifest(key)
            found = (Cause(task.id, ()),) if manifest is None else self._differences(task, manifest)
            self._compared[task.id, key] = found
        return self._compared[task.id, key]

    def _differences(self, task: Task, manifest: Mapping[str, Any]) -> tuple[Cause, ...]:
        differences = canonical.differences(manifest["plan_preimage"][1], canonical.to_tree(task.op))
        own: list[Change] = [_with_default(task, *difference) for difference in differences]
        found: dict[str, Cause] = {}
        for old, new in self._pairs(task, manifest):
            if old is None or new is None or old.task != new.task:
                role = (old or new or _nobody).role
                own.append((f"inputs.{role}", old and old.task, new and new.task))
            if new is not None and old is not None:
                found |= {cause.task: cause for cause in self._causes_of_input(self._tasks[new.task], old)}
        if own:
            found[task.id] = Cause(task.id, tuple(own))
        return tuple(sorted(found.values(), key=lambda cause: self._order[cause.task]))

    def _causes_of_input(self, task: Task, old: _Read) -> tuple[Cause, ...]:
        """Of a task whose artefact is another than was read. Who was cut off since has left no trace of what it was."""
        manifest = self._manifest(old.key)
        if manifest is not None and manifest["fingerprint"] == old.fingerprint and old.task == task.id:
            return self._causes(task, old.key)
        reason = self._reasons.get(task.id)
        return reason.causes if reason is not None and reason.causes else (Cause(task.id, ()),)

    def _pairs(self, task: Task, manifest: Mapping[str, Any]) -> Iterator[tuple[_Read | None, Input | None]]:
        """Inputs that differ, as they were and as they are: in the same role those of one name, then the rest."""
        was, now = list(self._reads(task, manifest)), list(task.inputs)
        for item in task.inputs:
            same = next((old for old in was if old.role == item.role and self._is_same(item, old)), None)
            if same is not None:
                was.remove(same)
                now.remove(item)
        for item in list(now):
            namesake = next((old for old in was if (old.role, old.task) == (item.role, item.task)), None)
            if namesake is not None:
                was.remove(namesake)
                now.remove(item)
                yield namesake, item
        for item in now:
            old = next((old for old in was if old.role == item.role), None)
            if old is not None:
                was.remove(old)
            yield old, item
        yield from ((old, None) for old in was)

    def _is_same(self, item: Input, old: _Read) -> bool:
        """By what it holds where it is built, else by its fingerprint."""
        built = self._built.get(item.task)
        if built is not None:
            return bool(built.manifest["digest"] == old.digest)
        return self._tasks[item.task].fingerprint == old.fingerprint

    def _reads(self, task: Task, manifest: Mapping[str, Any]) -> Iterator[_Read]:
        """What an artefact was made of: as the run found it, with the fingerprints that the plan knew it by."""
        fingerprints = {role[1]: [one[1] for one in ids[1]] for role, ids in manifest["plan_preimage"][2][1]}
        for role, found in manifest["inputs"].items():
            known = fingerprints.get(role, [])
            if role in task.op.unordered:
                known = self._as_read(found, known)
            for one, fingerprint in zip(found, known, strict=True):
                yield _Read(role=role, task=one["task"], key=one["key"], digest=one["digest"], fingerprint=fingerprint)

    def _as_read(self, found: list[Any], known: list[str]) -> list[str]:
        """Fingerprints that a pre-image has sorted, in the order of what was read: by what each artefact says.

        Those of artefacts that were cut off, which say another, stand in for these as they come.
        """
        manifests = [self._manifest(one["key"]) for one in found]
        own = [manifest["fingerprint"] if manifest else "" for manifest in manifests]
        rest = iter([fingerprint for fingerprint in known if fingerprint not in own])
        return [fingerprint if fingerprint in known else next(rest, "") for fingerprint in own]

    def _manifest(self, key: str) -> dict[str, Any] | None:
        """None for one that does not say of which plan it is."""
        if key not in self._manifests:
            found = manifest_of(self._store, key)
            self._manifests[key] = (
                found if found and {"plan_preimage", "inputs", "fingerprint"} <= found.keys() else None
            )
        return self._manifests[key]


@attrs.frozen(kw_only=True)
class _Read:
    """An artefact that another was made of."""

    role: str
    task: str
    key: str
    digest: str
    fingerprint: str


_nobody = _Read(role="", task="", key="", digest="", fingerprint="")


def _with_default(task: Task, path: str, before: Any, after: Any) -> Change:
    """A pre-image leaves out what is as declared: the default stands for it, where the path leads to its field."""
    *parents, name = re.findall(r"[^.\[\]]+", path)
    found: Any = task.op
    for part in parents:
        if isinstance(found, tuple) and part.isdigit():
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = getattr(found, part, None)
    owner: Any = type(found)
    field = attrs.fields_dict(owner).get(name) if attrs.has(owner) else None
    default: Any = field.default if field is not None else attrs.NOTHING
    if default is attrs.NOTHING or hasattr(default, "factory"):
        return path, before, after
    tag, value = canonical.to_tree(default)[:2]
    leaf = tag if tag == "null" else value
    return path, leaf if before is None else before, leaf if after is None else after


def _remembered(store: Store, fingerprint: str) -> str | None:
    """The key that a fingerprint led to, whether or not something is there."""
    try:
        key = json.loads((store.root / "fingerprints" / f"{fingerprint}.json").read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None


def _digests_by_role(task: Task, built: Mapping[str, Artifact]) -> dict[str, list[str | None]]:
    """The digests of what a task reads, None where it is not built."""
    there = {item.task: built.get(item.task) for item in task.inputs}
    return task.by_role({name: str(found.manifest["digest"]) if found else None for name, found in there.items()})


def _fits(known: Mapping[str, list[str | None]], entry: Entry, unordered: frozenset[str]) -> bool:
    """Whether an artefact was made of as many inputs, and of all that are known: each in its place, or in any."""
    if {role: len(now) for role, now in known.items()} != {role: len(was) for role, was in entry.inputs.items()}:
        return False
    return all(
        not Counter(filter(None, now)) - Counter(entry.inputs[role])
        if role in unordered
        else all(n in {None, w} for n, w in zip(now, entry.inputs[role], strict=True))
        for role, now in known.items()
    )


def _code(task: Task, causes: tuple[Cause, ...]) -> Code:
    own = next((cause for cause in causes if cause.task == task.id), None)
    if own is None:
        return "input_changed" if causes else "inputs_reordered"
    replaced = all(path.startswith("inputs.") for path, _, _ in own.changes)
    return "inputs_replaced" if replaced and own.changes else "operator_changed"
