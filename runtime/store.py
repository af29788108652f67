"""The store: finished outputs of tasks, addressed by what they were made from.

Two names lead to an artefact. Its *key* is the hash of the operator and of its inputs' content digests: equal keys
mean equal results, so a task whose upstream was rebuilt to the same bytes is not run again (early cut-off). A task's
plan-time *fingerprint* points to the key it had when it was built.

    artifacts/KEY/manifest.json, OUTPUT/...     finished, renamed into place as a whole
    fingerprints/FP.json                        {"key": KEY}
    work/KEY/N/K/                               shard K of N, finished, until all are
    work/KEY/resume-K/                          what a killed attempt left for the next (checkpoints)

It does not run anything and does not know the plan beyond the task it is given.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from compiler.errors import UserError
from compiler.files import sync_directory, write_atomically
from runtime.task import Artifact

MANIFEST = "manifest.json"
RESULT = "result.json"


@attrs.frozen
class Store:
    """A directory of artefacts; safe for many processes on a file system with atomic rename and flock."""

    root: Path

    def artifact(self, key: str) -> Artifact | None:
        """The artefact of that key, or None; one with missing or resized files is set aside, not trusted."""
        path = self.root / "artifacts" / key
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            intact = all((path / name).stat().st_size == size for name, size in manifest["files"].items())
        except (OSError, ValueError, KeyError, TypeError):
            intact, manifest = False, {}
        if intact:
            return Artifact(path=path, task_id=manifest["task"], manifest=manifest)
        if path.exists():
            self._set_aside(path)
        return None

    def find(self, fingerprint: str) -> Artifact | None:
        """The artefact that a task of that fingerprint made, or None."""
        try:
            key = json.loads((self.root / "fingerprints" / f"{fingerprint}.json").read_text())["key"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return self.artifact(key) if isinstance(key, str) else None

    def remember(self, fingerprint: str, key: str) -> None:
        """Let a fingerprint point to an artefact."""
        write_atomically(self.root / "fingerprints" / f"{fingerprint}.json", json.dumps({"key": key}) + "\n")

    def shard_directory(self, key: str, shards: int, shard: int) -> Path:
        """Where a finished shard lies until all are finished."""
        return self.root / "work" / key / str(shards) / str(shard)

    def shard_result(self, key: str, shards: int, shard: int) -> dict[str, Any] | None:
        """What a finished shard says of itself, or None."""
        try:
            result: dict[str, Any] = json.loads((self.shard_directory(key, shards, shard) / RESULT).read_text())
        except (OSError, ValueError):
            return None
        return result

    def resume_directory(self, key: str, shard: int) -> Path:
        """A directory that the next attempt at a shard finds as the last one left it."""
        path = self.root / "work" / key / f"resume-{shard}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def attempt(self, key: str, shards: int, shard: int) -> Iterator[Path | None]:
        """Hold a shard and yield an empty directory to write in, or None if the shard is finished already.

        The directory is renamed into place when the block ends; a second process waits here.
        """
        final = self.shard_directory(key, shards, shard)
        aside = final.with_name(f"{shard}.aside")
        with self.lock(f"{key}.{shard}"):
            if self.artifact(key) or self.shard_result(key, shards, shard) is not None:
                yield None
                return
            for left in (aside, final):
                shutil.rmtree(left, ignore_errors=True)
            aside.mkdir(parents=True)
            try:
                yield aside
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            sync_tree(aside)
            os.replace(aside, final)
            sync_directory(final.parent)

    def publish(self, key: str, shards: int, manifest: Mapping[str, Any]) -> Artifact:
        """Move the finished shards together into an artefact; the caller made sure that all are there."""
        final = self.root / "artifacts" / key
        with self.lock(f"{key}.publish"):
            known = self.artifact(key)
            if known:
                return known
            aside = self.root / "artifacts" / f".{key}.aside"
            shutil.rmtree(aside, ignore_errors=True)
            try:
                for shard in range(shards):
                    _link_outputs(self.shard_directory(key, shards, shard) / "out", aside, shard, shards)
                _complete(aside, manifest)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            os.replace(aside, final)
            sync_directory(final.parent)
            shutil.rmtree(self.root / "work" / key, ignore_errors=True)
        artifact = self.artifact(key)
        assert artifact is not None
        return artifact

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """One process at a time; freed by the system when its holder dies."""
        path = self.root / "locks" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise UserError(
                f"the store cannot be written ({error.strerror})",
                where=str(self.root),
                fix="choose another --store",
            ) from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _set_aside(self, path: Path) -> None:
        """Move a damaged artefact out of the way, keeping it for a look."""
        bin_ = self.root / "damaged"
        bin_.mkdir(exist_ok=True)
        target = bin_ / path.name
        shutil.rmtree(target, ignore_errors=True)
        try:
            os.replace(path, target)
        except FileNotFoundError:
            return  # another process was faster


def _complete(aside: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest beside the linked outputs, and all of it to disk."""
    for output in manifest["outputs"]:
        (aside / output).mkdir(parents=True, exist_ok=True)
    files = {str(p.relative_to(aside)): p.stat().st_size for p in sorted(aside.rglob("*")) if p.is_file()}
    write_atomically(aside / MANIFEST, json.dumps({**manifest, "files": files}, indent=1, sort_keys=True) + "\n")
    sync_tree(aside)


def _link_outputs(source: Path, target: Path, shard: int, shards: int) -> None:
    """Hard-link one shard's outputs into the artefact; with several shards the shard's number leads the name."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            relative = path.relative_to(source)
            name = relative if shards == 1 else relative.with_name(f"{shard:05d}-{relative.name}")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target / name)


def sync_tree(root: Path) -> None:
    """Fsync every file and directory below `root`."""
    for directory, _, files in os.walk(root):
        for name in files:
            with open(os.path.join(directory, name), "rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(directory))
