"""The same fingerprints on every Python that is found: OCSPEC_PYTHONS (paths, as in PATH), and python3.12 to 3.14.

An interpreter needs attrs and cattrs; with pydantic, experiments are compiled there, too. One that is not there, or has
none of them, is skipped and named.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from compiler import ir
from compiler.canonical import fingerprint, task_preimage
from tests.property import operators, specs
from tests.property.hosts import KINDS, files, fingerprints, host, written

ROOT = Path(__file__).parents[2]
NAMED = [path for path in os.environ.get("OCSPEC_PYTHONS", "").split(os.pathsep) if path]
LOOKED_FOR = NAMED or ["python3.12", "python3.13", "python3.14"]

OPERATORS = """
import json, sys
from compiler import ir
from compiler.canonical import fingerprint, task_preimage
from tests.property import operators
own = {op_id: fingerprint(task_preimage(*operators.sample(cls))) for op_id, cls in ir.OPERATORS.items()}
moved = []
for op_id, cls in ir.OPERATORS.items():
    op, inputs = operators.sample(cls)
    moved += [(op_id, what) for what, make in operators.preserving(op, inputs) if fingerprint(make()) != own[op_id]]
print(json.dumps([".".join(map(str, sys.version_info[:3])), own, moved]))
"""
EXPERIMENTS = """
import json, sys
from pathlib import Path
from tests.property import specs
from tests.property.hosts import fingerprints
programs = json.loads(sys.stdin.read())
print(json.dumps({name: sorted(fingerprints(specs.run(text), Path(sys.argv[1]))) for name, text in programs.items()}))
"""


def in_python(python: str, program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, "-c", program, *arguments]
    return subprocess.run(command, input=text, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def found(name: str, *packages: str) -> str:
    """An interpreter with these packages, or a skip that says what is missing."""
    python = shutil.which(name)
    if python is None:
        pytest.skip(f"{name} is not on PATH; give interpreters in OCSPEC_PYTHONS")
    done = in_python(python, f"import {', '.join(packages)}")
    if done.returncode:
        pytest.skip(f"{name} has no {' or '.join(packages)} ({(done.stderr.strip() or '?').splitlines()[-1]})")
    return python


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_operators_have_the_same_fingerprints(name: str) -> None:
    """And there, too, no mutation that means the same moves one."""
    done = in_python(found(name, "attrs", "cattrs"), OPERATORS)
    assert done.returncode == 0, done.stderr
    version, own, moved = json.loads(done.stdout)
    assert own == {op_id: fingerprint(task_preimage(*operators.sample(cls))) for op_id, cls in ir.OPERATORS.items()}
    assert moved == [], version
    assert NAMED or version.split(".")[:2] == name.removeprefix("python").split(".")


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_experiments_have_the_same_fingerprints(name: str, tmp_path: Path) -> None:
    """One around every kind of object, written as a spec and run there."""
    files(tmp_path)
    programs = {kind.__name__: specs.texts(written(kind))["as it is"] for kind in KINDS}
    own = {kind.__name__: sorted(fingerprints(host(written(kind)), tmp_path)) for kind in KINDS}
    done = in_python(found(name, "attrs", "cattrs", "pydantic"), EXPERIMENTS, str(tmp_path), text=json.dumps(programs))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == own
