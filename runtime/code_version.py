"""Which code is running: the package's version and, in a checkout, the commit and whether it was changed since."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@functools.cache
def code_version() -> dict[str, str]:
    """Version, commit and Python, for manifests. Recorded, never hashed."""
    try:
        package = version("ocspec")
    except PackageNotFoundError:
        package = "unknown"
    return {"ocspec": package, "commit": _commit(), "python": platform.python_version()}


def _commit() -> str:
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()
