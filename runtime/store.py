"""The store: finished outputs of tasks, addressed by what they were made from.

Two names lead to an artefact. Its *key* is the hash of the operator and of its inputs' content digests: equal keys
mean equal results, so a task whose upstream was rebuilt to the same bytes is not run again (early cut-off). A task's
plan-time *fingerprint* points to the key it had when it was built.

    artifacts/KEY/manifest.json, OUTPUT/...     finished, renamed into place as a whole
    fingerprints/FP.json                        {"key": KEY}
    work/KEY/N/K/                               shard K of N, finished, until all are
    work/KEY/N/K.aside/UUID/                    an attempt at it
    work/KEY/resume-K/                          what a killed attempt left for the next (checkpoints)
    locks/KEY/K.lease/                          who works on shard K

Whatever several processes may do at once ends in a rename that only the first can do. Leases (`runtime.lease`) spare
the others the work; no result depends on them. It does not run anything and does not know the plan beyond the task it
is given.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from compiler.errors import UserError
from compiler.files import sync_directory, write_atomically
from runtime.full_disk import full_disk
from runtime.holder import Holder
from runtime.lease import RENEW_S, STALE_AFTER_S, Lease, LeaseLost
from runtime.task import Artifact

MANIFEST = "manifest.json"
RESULT = "result.json"


@attrs.frozen
class Store:
    """A directory of artefacts; safe for many processes of many machines on a file system with atomic rename and link.

    `stale_after_s` and `renew_s` are those of `Lease.hold`, in seconds.
    """

    root: Path
    stale_after_s: float = STALE_AFTER_S
    renew_s: float = RENEW_S

    def artifact(self, key: str) -> Artifact | None:
        """The artefact of that key, or None; one with missing or resized files is set aside, not trusted.

        Raises UserError where the file system does not let it be read: that says nothing about the artefact.
        """
        path = self.root / "artifacts" / key
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            intact = all((path / name).stat().st_size == size for name, size in manifest["files"].items())
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            intact, manifest = False, {}
        except OSError as error:
            what = f"an artefact cannot be read ({error.strerror})"
            raise UserError(what, where=str(path), fix="check the file system, then do the same again") from None
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
        return _result(self.shard_directory(key, shards, shard))

    def finished_shards(self, key: str, shards: int) -> frozenset[int]:
        """The shards with a result; of the others not one file is opened."""
        directory = self.root / "work" / key / str(shards)
        names = os.listdir(directory) if directory.is_dir() else []
        found = (int(name) for name in names if name.isdigit())
        return frozenset(shard for shard in found if self.shard_result(key, shards, shard) is not None)

    def resume_directory(self, key: str, shard: int) -> Path:
        """A directory that the next attempt at a shard finds as the last one left it.

        An attempt that lost its lease may still write here: `renew_s` seconds at most after the next one began, or
        the moment that it takes to notice after a pause, and then only if `on_lost` ends it. So what is written here
        must be whole or known to be damaged, as a sealed checkpoint is.
        """
        path = self.root / "work" / key / f"resume-{shard}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def attempt(
        self,
        key: str,
        shards: int,
        shard: int,
        *,
        on_wait: Callable[[Holder], None] | None = None,
        on_lost: Callable[[Lease], None] | None = None,
    ) -> Iterator[Path | None]:
        """Hold a shard and yield an empty directory to write in, or None if the shard is finished already.

        The directory is renamed into place when the block ends; another process waits here (`on_wait` is told for
        whom). If the lease is lost, `on_lost` is called at once in another thread and the block ends with LeaseLost:
        nothing of it is kept. Should two attempts come to their end nevertheless, the result of the first is kept.
        """
        if self._is_finished(key, shards, shard):
            yield None
            return
        final = self.shard_directory(key, shards, shard)
        with self._lease(self.root / "locks" / key / f"{shard}.lease", on_wait, on_lost) as lease:
            if self._is_finished(key, shards, shard):
                yield None
                return
            asides = final.with_name(f"{shard}.aside")
            shutil.rmtree(asides, ignore_errors=True)  # whoever wrote there is dead or has lost
            aside = asides / uuid.uuid4().hex
            aside.mkdir(parents=True)
            try:
                _clear(final, asides / "damaged")
                try:
                    yield aside
                    sync_tree(aside)
                finally:
                    lease.conclude()  # raises: what a loser ran into means nothing
                try:
                    _place(aside, final, lambda: self._is_finished(key, shards, shard))
                except FileNotFoundError:  # paused before the rename: who took over meanwhile has removed it
                    raise LeaseLost(lease.path) from None
            finally:
                for left in (aside, asides / "damaged"):
                    shutil.rmtree(left, ignore_errors=True)
                with suppress(OSError):
                    asides.rmdir()

    def publish(self, key: str, shards: int, manifest: Mapping[str, Any]) -> Artifact:
        """Move the finished shards together into an artefact; the caller made sure that all are there.

        Several processes may do it at once: the artefact of the first is kept.
        """
        work, final = self.root / "work" / key, self.root / "artifacts" / key
        aside = work / f"{uuid.uuid4().hex}.aside"  # below the work, so that it goes with it if we are killed
        final.parent.mkdir(exist_ok=True)
        try:
            for shard in range(shards):
                _link_outputs(self.shard_directory(key, shards, shard) / "out", aside, shard, shards)
            _complete(aside, manifest)
            self.shard_directory(key, shards, 0).stat()  # all shards are there still, so nothing was left out
            _place(aside, final, lambda: self.artifact(key) is not None)
        except OSError:  # the ground went from under us if another publisher was faster: see `_forget`
            if self.artifact(key) is None:
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        artifact = self.artifact(key)
        assert artifact is not None
        self._forget(key)
        return artifact

    def adopt(self, source: Path, key: str, manifest: Mapping[str, Any]) -> None:
        """Take over the outputs of an artefact, of this store or another, under another key and manifest.

        Files of this store are linked, others copied: what somebody does there must not reach here. An artefact that
        another process published meanwhile is kept.
        """
        work, final = self.root / "work" / key, self.root / "artifacts" / key
        aside = work / f"{uuid.uuid4().hex}.aside"
        final.parent.mkdir(parents=True, exist_ok=True)
        take = os.link if source.is_relative_to(self.root) else shutil.copyfile
        try:
            for name in manifest["files"]:
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                take(source / name, aside / name)
            _complete(aside, manifest)
            for name in manifest["files"]:
                (aside / name).stat()  # all are there still, so nothing was left out
            _place(aside, final, lambda: self.artifact(key) is not None)
        except OSError:  # as in `publish`: the ground may have gone
            if self.artifact(key) is None:
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(OSError):
                work.rmdir()

    def _is_finished(self, key: str, shards: int, shard: int) -> bool:
        return self.shard_result(key, shards, shard) is not None or self.artifact(key) is not None

    @contextmanager
    def _lease(
        self, path: Path, on_wait: Callable[[Holder], None] | None, on_lost: Callable[[Lease], None] | None
    ) -> Iterator[Lease]:
        held = Lease.hold(
            path, on_wait=on_wait, on_lost=on_lost, stale_after_s=self.stale_after_s, renew_s=self.renew_s
        )
        with ExitStack() as stack:
            try:
                lease = stack.enter_context(held)
            except OSError as error:
                if full_disk(error):  # whoever asked for the work can say for what there is no space
                    raise
                raise UserError(
                    f"the store cannot be written ({error.strerror})",
                    where=str(self.root),
                    fix="choose another --store",
                ) from None
            yield lease

    def _forget(self, key: str) -> None:
        """Remove the work behind an artefact. Renamed first: another publisher finds all of the shards, or none."""
        gone = self.root / "work" / f"{key}.{uuid.uuid4().hex}.aside"
        with suppress(FileNotFoundError):
            os.rename(self.root / "work" / key, gone)
        for left in (gone, self.root / "locks" / key):
            shutil.rmtree(left, ignore_errors=True)

    def _set_aside(self, path: Path) -> None:
        """Move a damaged artefact out of the way, keeping it for a look."""
        bin_ = self.root / "damaged"
        bin_.mkdir(exist_ok=True)
        taken = sum(1 for _ in bin_.glob(f"{path.name}*"))
        target = bin_ / (f"{path.name}.{taken}" if taken else path.name)
        try:
            os.replace(path, target)
        except FileNotFoundError:
            return  # another process was faster


def _place(aside: Path, final: Path, is_there: Callable[[], bool]) -> None:
    """Rename a directory that is on disk into place, unless what belongs there is there: the first wins."""
    try:
        os.rename(aside, final)
    except OSError:
        if is_there():
            return
        os.rename(aside, final)  # looking has moved a damaged one out of the way
    sync_directory(final.parent)


def _clear(final: Path, aside: Path) -> None:
    """Move a shard without a readable result out of the way; one that a loser finished just now is put back."""
    with suppress(FileNotFoundError):
        os.rename(final, aside)
        if _result(aside) is not None:
            os.rename(aside, final)


def _result(shard: Path) -> dict[str, Any] | None:
    """What a finished shard says of itself, or None."""
    try:
        result: dict[str, Any] = json.loads((shard / RESULT).read_text())
    except (OSError, ValueError):
        return None
    return result


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
