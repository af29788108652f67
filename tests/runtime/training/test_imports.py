"""Training runs in a container without the data engines."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import runtime.training


def test_no_module_of_training_loads_a_data_engine():
    """Each is imported, in a fresh interpreter; torch is there, so the check looks at something."""
    names = [f"runtime.training.{module.name}" for module in pkgutil.iter_modules(runtime.training.__path__)]
    assert "runtime.training.run" in names
    code = "import sys, importlib\n"
    code += f"for name in {names!r}: importlib.import_module(name)\n"
    code += "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = result.stdout
    assert "'torch'" in loaded
    for engine in ("duckdb", "pydantic", "pyarrow", "ocspec", "transformers", "numba"):
        assert f"'{engine}'" not in loaded
