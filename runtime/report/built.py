"""Built: a plan and what the store and the journal have of it, looked up once. It builds nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from compiler import plan as plans
from compiler.errors import UserError
from compiler.plan import Plan, Task
from runtime.journal import Journal
from runtime.report.facts import Status
from runtime.store import Store
from runtime.task import Artifact
from runtime.worker import gather as gather_inputs
from runtime.worker import task_key


@attrs.frozen(kw_only=True)
class Built:
    """The plan in `directory`, artefacts by task, and the events of its runs in order of time."""

    plan: Plan
    directory: Path
    store: Store
    artifacts: Mapping[str, Artifact]
    events: tuple[Mapping[str, Any], ...]

    @classmethod
    def look(cls, plan_path: Path, store: Store) -> Built:
        """Read the plan (a file or its directory) and find its artefacts; UserError for no plan."""
        plan = plans.load(plan_path)
        directory = plan_path if plan_path.is_dir() else plan_path.parent
        found = {task.id: store.find(task.fingerprint) for task in plan.tasks}
        return cls(
            plan=plan,
            directory=directory,
            store=store,
            artifacts={task_id: artifact for task_id, artifact in found.items() if artifact is not None},
            events=tuple(Journal(directory / "journal").read()),
        )

    def status(self, task_id: str) -> Status:
        """How far a task is: the store says what is done, the journal what was tried."""
        if task_id in self.artifacts:
            return "done"
        tried = [e["event"] for e in self.events if e.get("task") == task_id]
        if not tried:
            return "not run"
        return "failed" if tried[-1] == "failed" else "started"

    def stats(self, task_id: str) -> Mapping[str, Any]:
        """The numbers that a finished task left; empty for others."""
        artifact = self.artifacts.get(task_id)
        stats: Mapping[str, Any] = artifact.manifest.get("stats", {}) if artifact else {}
        return stats

    def read_json(self, task_id: str, name: str) -> Any:
        """A JSON file of a finished task's artefact, or None where it cannot be read."""
        artifact = self.artifacts.get(task_id)
        try:
            return json.loads((artifact.path / name).read_text()) if artifact else None
        except (OSError, ValueError):
            return None

    def resume_directory(self, task: Task) -> Path | None:
        """What an unfinished attempt at shard 0 of a task has left so far; None if none can have started."""
        try:
            key, _ = task_key(task, gather_inputs(task, self.plan, self.store))
        except UserError:
            return None
        directory = self.store.root / "work" / key / "resume-0"
        return directory if directory.is_dir() else None
