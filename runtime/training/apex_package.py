"""The package called `apex`: whose it is, and how to hide it. Not Apex, and it never imports it.

Megatron asks for NVIDIA Apex by `import apex`, and takes any package of that name for it: the one on PyPI, which is a
toolkit for the Pyramid web framework by another author, NVIDIA's Python files without the compiled modules, or a mere
directory in the path. It fails later, when it builds the first layer or the optimizer.
"""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import attrs

PARTS = ("optimizers/fused_adam.py", "multi_tensor_apply/__init__.py")
"""Files of NVIDIA's package that Megatron imports, at 25.09 and at its head of July 2026."""

DECIDERS = ("megatron.core.models.backends", "megatron.core.optimizer", "megatron.core.transformer.transformer_block")
"""Modules that look for Apex and Transformer Engine while they are imported, and keep what they found."""


@attrs.frozen
class Package:
    """What is found under the name `apex`: where, of which distribution, and whether it has NVIDIA's files."""

    path: str
    is_nvidias: bool
    version: str = ""
    summary: str = ""
    home_page: str = ""

    def __str__(self) -> str:
        of = f"apex {self.version}".strip() if self.version else "apex, which no distribution installed,"
        said = ", ".join(filter(None, (f"{self.summary!r}" if self.summary else "", self.home_page)))
        return f"{of} at {self.path}{f' ({said})' if said else ''}"


def find() -> Package | None:
    """The package that `import apex` would load; None where that raises ImportError."""
    try:
        spec = find_spec("apex")
    except ValueError:  # a module of that name was put in place without a spec
        spec = None
    if spec is None:
        return None
    path = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or ""))
    has_parts = all((path / part).is_file() for part in PARTS)
    for name in metadata.packages_distributions().get("apex", []):
        distribution = metadata.distribution(name)
        if Path(str(distribution.locate_file("apex"))).resolve() == path.resolve():
            facts = distribution.metadata
            home = facts["Home-page"] or next(iter(facts.get_all("Project-URL") or ()), "")
            return Package(str(path), has_parts, distribution.version, facts["Summary"] or "", home)
    return Package(str(path), has_parts)


def hide(package: str) -> None:
    """Make `import package` raise ImportError in this process, and in those that are forked from it."""
    decided = [name for name in DECIDERS if name in sys.modules]
    assert not decided, f"{package} is to be hidden, and {decided[0]} is loaded: it has looked already"
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        del sys.modules[name]
    sys.modules[package] = None  # type: ignore[assignment]  # the import system's own sign for "not to be found"
