"""Where a worker keeps temporary files: below $OCSPEC_SCRATCH, as on a node's own disk, else beside what it makes.

A worker that is killed cannot clean up, and a node's disk is nobody's to watch: the next worker on the node does it.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from compiler.errors import UserError

VARIABLE = "OCSPEC_SCRATCH"


def scratch_root(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The directory that temporary files go below, or None where that is not set."""
    return Path(environ[VARIABLE]) if environ.get(VARIABLE) else None


@contextlib.contextmanager
def scratch_directory(otherwise: Path) -> Iterator[Path]:
    """A fresh directory, removed at the end; `otherwise` is made where $OCSPEC_SCRATCH is not set.

    Raises UserError where $OCSPEC_SCRATCH cannot be written.
    """
    root = scratch_root()
    with _locked(root) if root else contextlib.nullcontext(otherwise) as path:
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[Path]:
    """The path of a directory to make, which no other worker takes for abandoned while the block runs."""
    prefix = f"ocspec-{platform.node()}-"  # a lock may hold within one host only, as on Lustre with localflock
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root, prefix)
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".lock", dir=root)
    except OSError as error:
        raise UserError(
            f"scratch cannot be written ({error.strerror})",
            where=str(root),
            fix="choose another scratch in the profile",
        ) from None
    try:
        with contextlib.suppress(OSError):  # a file system without locks: then nothing is ever taken for abandoned
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Path(name).with_suffix("")
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(descriptor)


def _remove_abandoned(root: Path, prefix: str) -> None:
    """Remove what workers of this user that were killed on this host left behind."""
    for lock in root.glob(f"{glob.escape(prefix)}*.lock"):
        with contextlib.suppress(OSError), lock.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
