"""Training runs in an environment without the data engines."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import runtime.training

ENGINES = {"duckdb", "pydantic", "pyarrow", "ocspec", "transformers", "numba"}


def loaded_by(code: str) -> set[str]:
    """Top-level names of what a fresh interpreter has loaded after these lines."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-W", "ignore", "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split())


def test_no_module_of_training_loads_a_data_engine():
    """Each is imported; torch is there, so the check looks at something."""
    names = [f"runtime.training.{module.name}" for module in pkgutil.iter_modules(runtime.training.__path__)]
    assert "runtime.training.run" in names
    loaded = loaded_by(f"import importlib\nfor name in {names!r}: importlib.import_module(name)")
    assert "torch" in loaded
    assert loaded & ENGINES == set()


def test_a_worker_of_a_training_task_loads_no_data_engine():
    """The worker, the operator of each back end and the back end itself, which loads its own packages later."""
    code = "import runtime.worker\nfrom runtime import operators"
    code += "\nfrom runtime.training.run import BACKENDS, train_function"
    code += "\nfor name in BACKENDS: operators.load(f'train.{name}'), train_function(name)"
    loaded = loaded_by(code)
    assert {"torch", "cattrs", "numpy"} <= loaded
    assert loaded & ENGINES == set()
