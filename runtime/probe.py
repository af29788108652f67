"""What a node is like, seen from a job: `ocspec doctor --profile` runs it there. It looks and judges nothing.

    python -m runtime.probe REQUEST.json

The request says which directories to try, which modules to import and whether the node is to train; the answer is
written beside it, with the suffix `.answer`. Loads the standard library only, so that it also runs where what it looks
for is missing.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from compiler.files import sync_directory, write_atomically
from runtime.code_version import code_version

HERE, THERE = "here", "there"
"""Files in a directory that is tried: written by who submits, and written on the node."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Everything that is looked at, as plain data. Errors are texts; an empty one means that it worked."""
    return {
        "training": training() if request.get("training") else None,  # first: it hides what would mislead Megatron
        "host": platform.node(),
        "python": sys.executable,
        "code": code_version(),
        "package": str(Path(__file__).resolve().parent),
        "imports": {module: _failure(partial(importlib.import_module, module)) for module in request["imports"]},
        "places": {name: place(Path(path), request["token"]) for name, path in request["places"].items()},
        "scratch": scratch(os.environ.get("OCSPEC_SCRATCH", "")),
        "limits": limits(),
        "gpus": gpus() if request["gpus"] else None,
    }


def place(directory: Path, token: str) -> dict[str, Any]:
    """What a shared directory can do: seen from both sides, written, linked, renamed; free bytes; its clock."""
    ours = directory / THERE
    steps: dict[str, Callable[[], object]] = {
        "seen": lambda: _expect(directory / HERE, token),
        "written": lambda: write_atomically(ours, token),
        "linked": lambda: _link_once(ours, ours.with_suffix(".link")),
        "renamed": lambda: _rename(ours.with_suffix(".link"), ours),
    }
    found: dict[str, Any] = {name: _failure(step) for name, step in steps.items()}
    found["free"] = shutil.disk_usage(directory).free if directory.is_dir() else 0
    found["clock"] = _clock(directory) if not found["written"] else None
    return found


def _link_once(source: Path, target: Path) -> None:
    """Make a link that a second attempt cannot make again: that is how one process of several wins."""
    os.link(source, target)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    raise OSError(0, "a link was made twice under one name")


def _rename(source: Path, target: Path) -> None:
    os.replace(source, target)
    sync_directory(target.parent)


def _clock(directory: Path) -> dict[str, float]:
    """The clocks of the host and of the file system, at the same moment."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        return {"host": time.time(), "files": os.fstat(file.fileno()).st_mtime}


def _expect(file: Path, text: str) -> None:
    found = file.read_text(encoding="utf-8")
    if found != text:
        raise OSError(0, f"holds {found[:40]!r} and not what was written there")


def scratch(path: str) -> dict[str, Any] | None:
    """Whether the node's own directory can be written and how much is free there; None where none is set."""
    if not path:
        return None

    def write() -> None:
        os.makedirs(path, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())

    error = _failure(write)
    return {"path": path, "written": error, "free": 0 if error else shutil.disk_usage(path).free}


def limits() -> dict[str, Any]:
    """Limits of this process, None where there is none, and the processors that it may use."""
    names = {"address_space": resource.RLIMIT_AS, "processes": resource.RLIMIT_NPROC, "files": resource.RLIMIT_NOFILE}
    soft = {name: resource.getrlimit(number)[0] for name, number in names.items()}
    found: dict[str, Any] = {n: None if value == resource.RLIM_INFINITY else value for n, value in soft.items()}
    return {**found, "cpus": len(os.sched_getaffinity(0)), "threads": os.environ.get("OMP_NUM_THREADS", "")}


def gpus() -> dict[str, Any]:
    """How many devices torch sees, and what Slurm said of them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    try:
        import torch
    except Exception as error:
        return {"count": 0, "visible": visible, "error": _in_words(error)}
    return {"count": torch.cuda.device_count(), "visible": visible, "error": ""}


def training() -> dict[str, Any]:
    """What the node has to train with (`runtime.training.installed.look`), or why that cannot be looked at."""
    try:
        from runtime.training.installed import look

        return {**look(load_nemo=True), "error": ""}
    except Exception as error:  # as where attrs is missing
        return {"error": _in_words(error)}


def _failure(step: Callable[[], object]) -> str:
    """Why a step failed, in one line; empty where it did not."""
    try:
        step()
    except Exception as error:  # whatever a library says while it is imported is what is asked for
        return _in_words(error)
    return ""


def _in_words(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(f"{'' if isinstance(error, OSError) else type(error).__name__ + ': '}{said}".split())[:300]


def main() -> int:
    """Read the request, look, and leave the answer beside it."""
    file = Path(sys.argv[1])
    found = answer(json.loads(file.read_text(encoding="utf-8")))
    write_atomically(file.with_suffix(".answer"), json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
