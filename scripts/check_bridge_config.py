"""Check the emitted Megatron-Bridge configurations against the classes that Bridge publishes. It runs no Bridge.

python scripts/check_bridge_config.py [DIRECTORY OF UNPACKED WHEELS]

Every key of every section must be a field of the class that the section names. The classes are read from the wheels'
source, without importing them: Bridge does not import where Transformer Engine is not. Without a directory the wheels
are downloaded with pip. Exits with 1 and a line for each key that has no field.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

WHEELS = ("megatron-bridge==0.6.2", "megatron-core==0.19.2")
PYTHON = "3.12"  # Bridge 0.6.2 wants it
ROOT = Path(__file__).parents[1]
SPECS = ("opencoder_1_5b.py", "opencoder_8b.py")
CODE = "torch."  # a target that is a function, not a configuration


class Sources:
    """The modules below a directory, parsed when they are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._parsed: dict[str, Module] = {}

    def module(self, name: str) -> Module | None:
        """The module of that dotted name; None where the directory has none."""
        if name not in self._parsed:
            base = self.root.joinpath(*name.split("."))
            file = next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)
            if file is None:
                return None
            self._parsed[name] = Module(name, ast.parse(file.read_text(encoding="utf-8")), file.name == "__init__.py")
        return self._parsed[name]

    def fields(self, target: str) -> set[str] | None:
        """The fields of a dataclass and of all that it inherits from; None where there is no such class."""
        module_name, _, name = target.rpartition(".")
        module = self.module(module_name)
        if module is None:
            return None
        if name in module.classes:
            found = set(own_fields(module.classes[name]))
            for base in module.classes[name].bases:
                found |= self.fields(module.imported(ast.unparse(base).partition("[")[0])) or set()
            return found
        return self.fields(module.imports[name]) if name in module.imports else None


class Module:
    """The classes of a module, and where the names come from that it imports."""

    def __init__(self, name: str, tree: ast.Module, is_package: bool) -> None:
        self.name, self.tree, self.is_package = name, tree, is_package

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """By name."""
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)}

    @cached_property
    def imports(self) -> dict[str, str]:
        """The full name of what each imported name stands for."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                origin = self._absolute(node)
                found |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
        return found

    def imported(self, name: str) -> str:
        """The full name of a name in this module."""
        return self.imports.get(name, f"{self.name}.{name}")

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        kept = package[: len(package) - node.level + 1]
        return ".".join([*kept, node.module] if node.module else kept)


def own_fields(node: ast.ClassDef) -> Iterator[str]:
    """Annotated names of a class body."""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id


def problems(config: Mapping[str, Any], sources: Sources, path: str = "") -> Iterator[str]:
    """A line for each section whose class is not there and each key that is no field of it."""
    target = config.get("_target_", "")
    if target and not target.startswith(CODE):
        fields = sources.fields(target)
        if fields is None:
            yield f"{path or 'top'}: there is no class {target}"
            return
        for key in config:
            if not key.startswith("_") and key not in fields:
                yield f"{path + '.' if path else ''}{key}: {target} has no such field"
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from problems(value, sources, f"{path}.{key}" if path else key)


def configs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every launch of every stage of the full-scale specs."""
    from compiler.compile import compile_experiment
    from compiler.emit.bridge import bridge_config
    from compiler.emit.training import jobs_before
    from compiler.load import load_spec
    from compiler.trainjob import TrainJob

    for spec in SPECS:
        plan = compile_experiment(*load_spec(str(ROOT / "specs" / spec)))
        for task in plan.tasks:
            job = getattr(task.op, "job", None)
            if isinstance(job, TrainJob):
                before = jobs_before(plan, task)
                for number in range(len(job.batches)):
                    yield f"{plan.experiment} {task.id} {number + 1}", bridge_config(job, number, before)


def unpack(directory: Path) -> Path:
    """Download the wheels and unpack them there."""
    options = ["--no-deps", "--quiet", f"--python-version={PYTHON}", "--only-binary=:all:", f"--dest={directory}"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, *WHEELS], check=True)
    for wheel in directory.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory)
    return directory


def main() -> int:
    """Check all and say what was found."""
    with tempfile.TemporaryDirectory() as scratch:
        sources = Sources(Path(sys.argv[1]) if len(sys.argv) > 1 else unpack(Path(scratch)))
        checked, found = 0, []
        for name, config in configs():
            checked += 1
            found += [f"{name}: {problem}" for problem in problems(config, sources)]
    fine = f"{checked} configurations, every key a field of its class ({', '.join(WHEELS)})"
    sys.stdout.write("\n".join(found or [fine]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
