"""Tensors and facts on disk that can be trusted: written aside, synced, renamed, with a checksum.

Not the artefact store and not the HF checkpoint: this holds what only a following attempt or stage reads.

A sealed directory holds `state.safetensors` and `state.json`; the latter has the size and SHA-256 of the
former, so that a file cut short or damaged is found before it is used. Both files are byte-identical for
equal contents.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from compiler.errors import UserError

FORMAT_VERSION = 1
KEPT = 2  # the newest, and the one before in case the newest is damaged


def write_sealed(directory: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON-able facts into `directory` and sync; replaces what an attempt left."""
    directory.mkdir(parents=True, exist_ok=True)
    payload = directory / "state.safetensors"
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, payload)
    seal = {
        **facts,
        "format_version": FORMAT_VERSION,
        "bytes": payload.stat().st_size,
        "sha256": _sha256(payload),
    }
    description = directory / "state.json"
    description.write_text(json.dumps(seal, indent=1, sort_keys=True) + "\n")
    for path in (payload, description, directory):
        sync(path)


def read_sealed(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and facts of `directory`; UserError where they are missing or damaged."""
    payload, description = directory / "state.safetensors", directory / "state.json"
    try:
        facts = json.loads(description.read_text())
        size, digest = payload.stat().st_size, facts["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"no readable training state: {error!r}",
            where=str(directory),
            fix="run the stage that leaves it again",
        ) from error
    if facts.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"state format {facts.get('format_version')}, read here: {FORMAT_VERSION}", where=str(directory)
        )
    if size != facts["bytes"] or _sha256(payload) != digest:
        raise UserError(
            f"damaged training state: {size} bytes where {facts['bytes']} were written, or another checksum",
            where=str(payload),
        )
    return load_file(payload), facts


def write_whole(directory: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a sealed directory that is there whole or not at all; one of this name is replaced."""
    aside = directory.with_name("aside")
    shutil.rmtree(aside, ignore_errors=True)
    write_sealed(aside, tensors, facts)
    if directory.exists():
        shutil.rmtree(directory)
    aside.rename(directory)
    sync(directory.parent)


def write_latest(resume: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Keep the state after `step` steps under `resume`, and drop all but the last two.

    A directory of this step can only be a damaged one: a whole one would have been resumed from.
    """
    write_whole(step_directory(resume, step), tensors, facts)
    for old in _newest_first(resume)[KEPT:]:
        shutil.rmtree(old)


def latest(resume: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest state under `resume` that is whole, or None."""
    for directory in _newest_first(resume):
        try:
            return read_sealed(directory)
        except UserError:
            continue
    return None


def step_directory(parent: Path, step: int) -> Path:
    """Where the state after `step` steps lies; names sort as steps do."""
    return parent / f"step-{step:010d}"


def sync(path: Path) -> None:
    """Wait until the file's or directory's contents are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _newest_first(resume: Path) -> list[Path]:
    return sorted(resume.glob("step-*"), reverse=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
