"""State on disk that can be trusted: written aside, synced, sealed with checksums, renamed.

Not the artefact store and not the HF checkpoint: this holds what only a following attempt or stage reads.

A sealed directory holds any files, most often a `state.safetensors`, and `state.json`, which is written last: facts,
and the size and SHA-256 of every other file, so that one cut short or damaged is found before it is used. A state
written as tensors is byte-identical for equal contents.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from compiler.errors import UserError

FORMAT_VERSION = 2
KEPT = 2  # the newest, and the one before in case the newest is damaged
PAYLOAD, SEAL = "state.safetensors", "state.json"


def write_sealed(directory: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON-able facts into `directory` and sync; replaces what an attempt left."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SEAL).unlink(missing_ok=True)
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, directory / PAYLOAD)
    seal(directory, facts, [directory / PAYLOAD])


def seal(directory: Path, facts: dict[str, Any], files: Iterable[Path] | None = None) -> None:
    """Sync files of a directory, all that it has by default, and write `state.json` about them."""
    paths = sorted(files if files is not None else _files(directory))
    for path in paths:
        sync(path)
    described = {str(path.relative_to(directory)): [path.stat().st_size, _sha256(path)] for path in paths}
    content = {**facts, "format_version": FORMAT_VERSION, "files": described}
    (directory / SEAL).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    sync(directory / SEAL)
    for folder in {path.parent for path in paths} | {directory}:
        sync(folder)


def check_seal(directory: Path) -> dict[str, Any]:
    """The facts of `directory`; UserError where one of its files is missing or damaged."""
    facts = read_facts(directory)
    for name, (size, digest) in facts["files"].items():
        path = directory / name
        found = path.stat().st_size if path.exists() else 0
        if found != size or _sha256(path) != digest:
            raise UserError(
                f"damaged training state: {found} bytes where {size} were written, or another checksum",
                where=str(path),
                fix="run the stage that leaves it again",
            )
    return facts


def read_facts(directory: Path) -> dict[str, Any]:
    """The facts of `directory` as they were written, its files unseen; UserError where they cannot be read."""
    try:
        facts: dict[str, Any] = json.loads((directory / SEAL).read_text())
        version = facts.get("format_version")
        if version == FORMAT_VERSION and not isinstance(facts["files"], dict):
            raise ValueError("no list of files")
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise UserError(
            f"no readable training state: {error!r}",
            where=str(directory),
            fix="run the stage that leaves it again",
        ) from error
    if version != FORMAT_VERSION:
        raise UserError(f"state format {version}, read here: {FORMAT_VERSION}", where=str(directory))
    return facts


def read_sealed(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and facts of `directory`; UserError where they are missing or damaged."""
    facts = check_seal(directory)
    return load_file(directory / PAYLOAD), facts


def write_whole(directory: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a sealed directory that is there whole or not at all; one of this name is replaced."""
    aside = begin_aside(directory)
    write_sealed(aside, tensors, facts)
    put_in_place(aside, directory)


def begin_aside(directory: Path) -> Path:
    """An empty place beside `directory` to write in; what an earlier attempt left there is removed."""
    aside = directory.with_name("aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def put_in_place(aside: Path, directory: Path) -> None:
    """Give what was written and sealed aside its name."""
    if directory.exists():
        shutil.rmtree(directory)
    aside.rename(directory)
    sync(directory.parent)


def write_latest(resume: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Keep the state after `step` steps under `resume`, and the one before it.

    A directory of this step or a later one can only be damaged: a whole one would have been resumed from.
    """
    write_whole(step_directory(resume, step), tensors, facts)
    drop_old(resume, step)


def drop_old(resume: Path, step: int) -> None:
    """Remove all states but that after `step` steps, which has just been written, and the one before it."""
    states = _newest_first(resume)
    later = states.index(step_directory(resume, step))
    for directory in (*states[:later], *states[later + KEPT :]):
        shutil.rmtree(directory)


def latest(resume: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest state under `resume` that is whole, or None."""
    found = latest_directory(resume)
    return (load_file(found[0] / PAYLOAD), found[1]) if found else None


def latest_directory(resume: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest sealed directory under `resume` that is whole, with its facts, or None."""
    for directory in _newest_first(resume):
        try:
            return directory, check_seal(directory)
        except UserError:
            continue
    return None


def before(resume: Path) -> str:
    """Where a stage goes on that cannot save any more, in words: the newest state, whose files are not looked at."""
    newest = next(iter(_newest_first(resume)), None)
    return f"from step {int(newest.name.removeprefix('step-'))}" if newest else "from its start"


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


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and path.name != SEAL]


def _newest_first(resume: Path) -> list[Path]:
    return sorted(resume.glob("step-*"), reverse=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
