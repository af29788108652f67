"""What the dispatcher's tests run on the nodes: importable there, told by a file what to do, leaves a file.

Not a stand-in for the worker, which tests/e2e runs on the same cluster.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from compiler.errors import UserError


def result_file(store: Path, task: str, shard: int) -> Path:
    """Where a shard leaves its result."""
    return store / f"{hashlib.sha256(task.encode()).hexdigest()[:16]}.{shard}.json"


def run_shard(plan: str, task: str, shard: int, store: str) -> None:
    """Do what the plan (a JSON object: task -> behaviour) says; by default the environment is the result."""
    file = result_file(Path(store), task, shard)
    attempt = file.with_suffix(".attempts")
    with attempt.open("a") as attempts:
        attempts.write(f"{os.getpid()}\n")
    behaviour = json.loads(Path(plan).read_text()).get(task, "finish")
    if behaviour == "refuse":
        raise UserError("47 rows have no licence", where=f"shard {shard}", fix="give them one")
    if behaviour == "crash":
        os._exit(7)
    if behaviour == "sleep" or (behaviour == "sleep once" and len(attempt.read_text().split()) == 1):
        time.sleep(120)
    if behaviour != "forget":
        aside = file.with_suffix(".new")
        aside.write_text(json.dumps({"environment": dict(os.environ), "time": time.time()}))
        aside.replace(file)
