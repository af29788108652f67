"""Fetching packages: pinned wheels, downloaded with pip and unpacked in memory into documents.

Nothing is built, installed, imported or written out under its own name: a wheel is read as an archive of
text. Only wheels of pure Python are taken, so that every machine fetches the same file; its SHA-256 is
checked by pip and again here. A hostile archive costs at most the bytes that `MEMBER_BYTES` and
`ARCHIVE_BYTES` allow.
"""

from __future__ import annotations

import calendar
import hashlib
import io
import lzma
import os
import re
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from compiler.errors import UserError, UserErrors
from compiler.files import sync_directory
from compiler.ir import PyPIPackage
from runtime.data.sources.spans import shard_range
from runtime.data.sources.unreadable import defect
from runtime.data.tables import DOCUMENT_SCHEMA, DROPPED_SCHEMA, TableWriter

STEP = "fetch"
MEMBER_BYTES = 64 << 20
ARCHIVE_BYTES = 2 << 30
RATIO = 200.0
RATIO_FROM_BYTES = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BATCH_BYTES = 16 << 20
_PIP_OPTIONS = (
    *("--no-deps", "--only-binary=:all:", "--require-hashes", "--ignore-requires-python"),
    *("--platform=any", "--implementation=py", "--abi=none", "--python-version=3.11"),
    *("--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet", "--retries=2"),
)
_UNREACHABLE = re.compile(r"Retrying|connection broken|ConnectionError|timed out|HTTP error|SSLError", re.I)
_ADDRESSES = re.compile(
    r"\w+://\S+|host='[^']*'|(?<=resolve )'[^']*'"
    r"|(?<![\w/@=.-])(?:[A-Za-z0-9-]+\.)+(?!whl\b)[A-Za-z]{2,}(?::\d+)?(?![\w.-])|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)
# What reading a member raises: bad data, unknown methods, names and sizes that lie.
_BAD_DATA = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError)
_UNREADABLE = (*_BAD_DATA, NotImplementedError, RuntimeError, ValueError)


@attrs.frozen(kw_only=True)
class FetchStats:
    """What one shard fetched: packages, documents and their bytes of UTF-8, and members dropped."""

    packages: int
    documents: int
    dropped: int
    bytes: int


def fetch_packages(
    packages: Sequence[PyPIPackage], out: Path, cache: Path, *, source: str, shard: int = 0, shards: int = 1
) -> FetchStats:
    """Fetch shard `shard` (0-based) of `shards` of the packages into `out/documents` and `out/dropped`.

    Wheels are kept in `cache/SHA256/FILE` and downloaded only where that is absent or damaged; any number
    of processes may share the cache. A file of package N at version V becomes a document of repository
    `N@V`, with the archive's time for it. Metadata (`*.dist-info`) is left out; members that are unsafe,
    too large or no text are dropped with a rule. The output is the same bytes for the same packages.

    Raises UserError for bad pins, packages that cannot be had, other hashes than pinned, and broken archives.
    """
    mine = _checked(packages)[slice(*shard_range(len(packages), shard, shards))]
    cache.mkdir(parents=True, exist_ok=True)
    wheels = obtain(mine, cache)
    counts = {"documents": 0, "dropped": 0, "bytes": 0}
    with (
        TableWriter(out / "documents", DOCUMENT_SCHEMA) as documents,
        TableWriter(out / "dropped", DROPPED_SCHEMA) as dropped,
    ):
        for package, wheel in zip(mine, wheels, strict=True):
            for kept, removed in _batched(unpack(wheel, package, source)):
                documents.write_rows(kept)
                dropped.write_rows(removed)
                counts["documents"] += len(kept)
                counts["dropped"] += len(removed)
                counts["bytes"] += sum(len(row["content"].encode()) for row in kept)
    return FetchStats(packages=len(mine), **counts)


def canonical_name(name: str) -> str:
    """A package's name as the index compares it.

    >>> canonical_name("Ruamel.YAML_clib")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _key(package: PyPIPackage) -> tuple[str, str]:
    return canonical_name(package.name), package.version.replace("-", "_")


def _checked(packages: Sequence[PyPIPackage]) -> list[PyPIPackage]:
    """The packages in a fixed order, each pinned well and only once: a pin goes on pip's command line."""
    ordered = sorted(packages, key=_key)
    problems = []
    for package in ordered:
        if not (_NAME.fullmatch(package.name) and _VERSION.fullmatch(package.version)):
            problems.append(_error(package, "is no name and version of a package", "write name and version only"))
        if not _SHA256.fullmatch(package.sha256):
            fix = "run `pip download --no-deps` and `pip hash` on the wheel"
            problems.append(_error(package, f"has {package.sha256!r} as SHA-256, not 64 hex digits", fix))
    for first, second in pairwise(ordered):
        if _key(first) == _key(second):
            problems.append(_error(second, "is listed twice", "list it once"))
    if problems:
        raise UserErrors(problems)
    return ordered


def _error(package: PyPIPackage, what: str, fix: str) -> UserError:
    return UserError(f"package {package.name}=={package.version} {what}", fix=fix)


# ---------------------------------------------------------------- download


def obtain(packages: Sequence[PyPIPackage], cache: Path) -> list[Path]:
    """The wheels of `packages`, in order, from the cache or from the index that pip is configured for."""
    missing = [package for package in packages if _cached(package, cache) is None]
    problems: list[UserError] = []
    for package, said in (failure for group in _rounds(missing) for failure in _download(group, cache)):
        problems.append(_explain(package, said))
        if _UNREACHABLE.search(said):
            break
    if problems:
        raise UserErrors(problems)
    return [_cached(package, cache) or _misnamed(package, cache) for package in packages]


def _misnamed(package: PyPIPackage, cache: Path) -> Path:
    names = ", ".join(wheel.name for wheel in sorted((cache / package.sha256).glob("*.whl")))
    raise _error(package, f"came as {names}", "write name and version as the file does")


def _rounds(packages: Iterable[PyPIPackage]) -> list[list[PyPIPackage]]:
    """Groups in which no name comes twice: pip takes one version of a package a call."""
    groups: list[list[PyPIPackage]] = []
    seen: dict[str, int] = {}
    for package in packages:
        turn = seen.get(canonical_name(package.name), 0)
        seen[canonical_name(package.name)] = turn + 1
        if turn == len(groups):
            groups.append([])
        groups[turn].append(package)
    return groups


def _cached(package: PyPIPackage, cache: Path) -> Path | None:
    """The wheel in the cache, if it is of this package and version; a damaged one is removed."""
    for wheel in sorted((cache / package.sha256).glob("*.whl")):
        if _sha256(wheel) != package.sha256:
            wheel.unlink()
        elif _key(package) == _wheel_key(wheel):
            return wheel
    return None


def _wheel_key(wheel: Path) -> tuple[str, str]:
    """Name and version that a wheel's file name tells.

    >>> _wheel_key(Path("ruamel.yaml_clib-0.2.8-py3-none-any.whl"))
    ('ruamel-yaml-clib', '0.2.8')
    """
    name, version, *_ = wheel.name.split("-")
    return canonical_name(name), version


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(group: Sequence[PyPIPackage], cache: Path) -> Iterator[tuple[PyPIPackage, str]]:
    """Download packages of different names in one call; if that fails, one by one: those that fail, why."""
    if _pip(group, cache) is not None:
        for package in group:
            said = _pip([package], cache)
            if said is not None:
                yield package, said


def _pip(packages: Sequence[PyPIPackage], cache: Path) -> str | None:
    """Run pip in a directory aside, move the wheels into the cache; return what it said if it failed."""
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as name:
        folder = Path(name)
        pins = [f"{p.name}=={p.version} --hash=sha256:{p.sha256}\n" for p in packages]
        (folder / "pins.txt").write_text("".join(pins))
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            *_PIP_OPTIONS,
            "-d",
            name,
            "-r",
            str(folder / "pins.txt"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            return done.stderr + done.stdout
        for wheel in sorted(folder.glob("*.whl")):
            _keep(wheel, cache / _sha256(wheel))
    return None


def _keep(wheel: Path, folder: Path) -> None:
    with wheel.open("rb") as stream:
        os.fsync(stream.fileno())
    folder.mkdir(exist_ok=True)
    wheel.replace(folder / wheel.name)
    sync_directory(folder)


def _explain(package: PyPIPackage, said: str) -> UserError:
    """What pip said, as an error for the user, without the addresses of anybody's index."""
    if "DO NOT MATCH THE HASHES" in said:
        got = re.search(r"Got\s+([0-9a-f]{64})", said)
        what = f"has SHA-256 {got[1] if got else 'unknown'}, not the pinned {package.sha256}"
        return _error(package, what, "find out why it changed; pin the new hash only if you trust it")
    if "No module named pip" in said:
        return _error(package, "cannot be fetched: this Python has no pip", "run `python -m ensurepip`")
    last = _last_error(said)
    if _UNREACHABLE.search(said):
        return _error(
            package,
            f"cannot be fetched: the package index does not answer. pip says: {last}",
            "check the network and pip's configuration, or fill the cache where there is a network",
        )
    if "No matching distribution" in said:
        return _error(
            package,
            f"has no pure-Python wheel (py3-none-any) of that version on the index. pip says: {last}",
            "check name and version, or take a package that has such a wheel: nothing is built here",
        )
    return _error(package, f"cannot be fetched. pip says: {last}", "run `pip download` by hand to see more")


def _last_error(said: str) -> str:
    r"""The last error in what pip said, with URLs and host names left out.

    >>> _last_error("ERROR: Could not reach https://u:p@pypi.example/simple/ on pypi.example:443\n")
    'Could not reach [address] on [address]'
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return _ADDRESSES.sub("[address]", (errors or lines or ["nothing"])[-1])


# ---------------------------------------------------------------- unpack

_Row = dict[str, Any]


def unpack(wheel: Path, package: PyPIPackage, source: str) -> Iterator[tuple[bool, _Row]]:
    """The members of a wheel, sorted by name: (True, document row) or (False, dropped row).

    Raises UserError for a file that is no archive, and for one of more than `ARCHIVE_BYTES` unpacked.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(wheel.read_bytes()))
    except _UNREADABLE as error:
        raise _error(package, f"is not a readable archive: {error}", "pin another version") from error
    with archive:
        total = sum(member.file_size for member in archive.infolist())
        if total > ARCHIVE_BYTES:
            what = f"unpacks to {total} bytes, more than the {ARCHIVE_BYTES} allowed"
            raise _error(package, what, "leave it out: no honest wheel is so large")
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            name = member.filename  # may be empty, which `ZipInfo.is_dir` does not bear
            if not name.endswith("/") and not name.split("/")[0].endswith(".dist-info"):
                yield _document(archive, member, package, source)


def _document(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, package: PyPIPackage, source: str
) -> tuple[bool, _Row]:
    repo = f"{package.name}@{package.version}"
    doc_id = f"{source}/{repo}/{member.filename}"
    broken = _refuse(archive, member, doc_id)
    content = b""
    if not broken:
        try:
            with archive.open(member) as stream:
                content = stream.read(member.file_size)
        except _UNREADABLE:
            broken = {"rule": "unreadable_member"}
        else:
            found = defect(content)
            broken = {"rule": found[0], "value": found[1]} if found else None
    if broken:
        return False, {"doc_id": doc_id, "step": STEP, **broken}
    return True, {
        "doc_id": doc_id,
        "source": source,
        "repo": repo,
        "path": member.filename,
        "stars": 0,
        "commit_time": _time(member),
        "content": content.decode(),
    }


def _refuse(archive: zipfile.ZipFile, member: zipfile.ZipInfo, doc_id: str) -> _Row | None:
    """Why a member must not be read, from what the archive says of it; None if it may."""
    name = member.filename
    ratio = member.file_size / max(member.compress_size, 1)
    if "\\" in name or ":" in name.split("/")[0] or any(part in ("", ".", "..") for part in name.split("/")):
        return {"rule": "unsafe_path"}
    if archive.getinfo(name) is not member:
        return {"rule": "duplicate_member", "kept": doc_id}
    if stat.S_ISLNK(member.external_attr >> 16):
        return {"rule": "symbolic_link"}
    if member.flag_bits & 1:
        return {"rule": "encrypted"}
    if member.file_size > MEMBER_BYTES:
        return {"rule": "too_large", "value": float(member.file_size), "threshold": float(MEMBER_BYTES)}
    if member.file_size > RATIO_FROM_BYTES and ratio > RATIO:
        return {"rule": "compression_ratio", "value": ratio, "threshold": RATIO}
    return None


def _time(member: zipfile.ZipInfo) -> int:
    """The time of a member as Unix seconds, read as UTC; 0 for the day that archives without times carry."""
    year, month, day, *_ = member.date_time
    known = (year, month, day) != (1980, 1, 1) and 1 <= month <= 12 and 1 <= day <= 31
    return calendar.timegm(member.date_time) if known else 0


def _batched(rows: Iterable[tuple[bool, _Row]]) -> Iterator[tuple[list[_Row], list[_Row]]]:
    """Documents and dropped rows, some `_BATCH_BYTES` of text at a time."""
    kept: list[_Row] = []
    removed: list[_Row] = []
    size = 0
    for keep, row in rows:
        (kept if keep else removed).append(row)
        size += len(row.get("content", ""))
        if size >= _BATCH_BYTES:
            yield kept, removed
            kept, removed, size = [], [], 0
    yield kept, removed
