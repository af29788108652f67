"""A worker that waits at a point until a file is there, so that a test meets it there on any machine. Not a test.

All else is the product's worker, in a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

CODE = """
import sys, time
from pathlib import Path
from runtime import operators, worker

gate, after = Path({gate!r}), {after!r}

def wait():
    while not gate.exists():
        time.sleep(0.005)

load, report = operators.load, worker._Progress.__call__

def load_late(op_id):
    wait()
    return load(op_id)

def report_and_wait(self, done, total, unit):
    report(self, done, total, unit)
    if done > after:
        wait()

if after is None:
    operators.load = load_late
else:
    worker._Progress.__call__ = report_and_wait
del sys.argv[1:3]
sys.exit(worker.main())
"""


def held_python(gate: Path, after: int | None = None) -> Path:
    """A program to start with `-m runtime.worker PLAN TASK SHARD ...`: a Python whose worker waits for `gate`.

    Before its operator begins, or where `after` is given, when that tells of more than so many steps.
    """
    code, program = gate.with_suffix(".py"), gate.with_suffix(".sh")
    code.write_text(CODE.format(gate=str(gate), after=after))
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{code}" "$@"\n')
    program.chmod(0o755)
    return program
