"""Revisions: the tree of a git revision as files, for specs to be loaded from.

The whole tree is exported, so that a spec meets the helpers and the data of its own time; the working tree, the index
and the repository's list of worktrees are left alone, and no hook runs. An export is made once per commit and process
and is gone when the process ends. Not a reader of specs: that is `load`.
"""

from __future__ import annotations

import difflib
import glob
import os
import subprocess
import tempfile
from pathlib import Path

import attrs

from compiler.errors import UserError


@attrs.frozen(kw_only=True)
class Export:
    """A revision `name` of the repository at `top`, as the files below `tree`."""

    name: str
    commit: str
    top: Path
    tree: Path

    def here(self, path: Path) -> Path | None:
        """Where the export has what the working tree has at a path; None outside the repository."""
        return self.tree / path.relative_to(self.top) if path.is_relative_to(self.top) else None

    def there(self, path: Path) -> Path | None:
        """The place in the working tree of a path in the export; None for other paths."""
        return self.top / path.relative_to(self.tree) if path.is_relative_to(self.tree) else None


_exports: dict[tuple[Path, str], tuple[Export, tempfile.TemporaryDirectory[str]]] = {}


def export(file: Path, revision: str) -> tuple[Path, Export]:
    """A file as a revision of its repository has it, in an export of the whole revision.

    Raises UserError where there is no repository, no such revision, or no such file in it.
    """
    where = f"{file}@{revision}"
    top = Path(
        _git(
            _existing(file.parent.resolve()),
            "rev-parse",
            "--show-toplevel",
            where=where,
            fix="give the spec as a plain file",
        )
    ).resolve()
    commit = _commit(top, revision, where)
    path = file.parent.resolve() / file.name
    if not _ok(top, "cat-file", "-e", f"{commit}:{path.relative_to(top).as_posix()}"):
        raise _absent(top, commit, path, where)
    if (top, commit) not in _exports:
        _exports[top, commit] = _write(top, commit, revision, where)
    kept, folder = _exports[top, commit]
    made = attrs.evolve(kept, name=revision)
    _exports[top, commit] = made, folder
    return made.tree / path.relative_to(top), made


def original(path: Path) -> Path:
    """The place in the working tree that a path in an export stands for; other paths are their own."""
    return next((place for one, _ in _exports.values() if (place := one.there(path))), path)


def label(file: str) -> str:
    """A file of an export as `FILE@COMMIT`, by its place in the working tree; other files as they are."""
    for one, _ in _exports.values():
        place = one.there(Path(file))
        if place is not None:
            return f"{os.path.relpath(place)}@{one.name}"
    return file


def seen(pattern: str, base: Path) -> Path:
    """A file or glob below `base`, which is `base / pattern` unless that lies in an export.

    What a revision does not have, since data is seldom in git, is taken from the working tree.
    """
    path, instead = base / pattern, original(base) / pattern
    if path == instead or glob.glob(str(path), recursive=True) or not glob.glob(str(instead), recursive=True):
        return path
    return instead


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is still there."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _commit(top: Path, revision: str, where: str) -> str:
    found = (
        "" if revision.startswith("-") else _output(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    )
    if found:
        return found
    names = _output(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes").split()
    close = difflib.get_close_matches(revision, names, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else "see `git log --oneline` for commits, `git tag` for tags"
    raise UserError(f"there is no revision {revision!r}", where=where, fix=hint)


def _absent(top: Path, commit: str, path: Path, where: str) -> UserError:
    """The file is not in the revision: it may be there under another name, or not be committed yet."""
    name = path.relative_to(top).as_posix()
    names = _output(top, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit).split("\0")
    alike = [other for other in names if other.rpartition("/")[2] == path.name]
    alike = alike or difflib.get_close_matches(name, [other for other in names if other.endswith(".py")], n=2)
    first = _output(top, "log", "--diff-filter=A", "--format=%h", "-n", "1", "--", name)
    fix = "name a revision that has it"
    if alike:
        fix = f"did you mean {' or '.join(alike[:2])}?"
    elif first:
        fix = f"it was added in {first}"
    elif path.exists():
        fix = "it was never committed"
    return UserError(f"{name} is not in {commit[:12]}", where=where, fix=fix)


def _write(top: Path, commit: str, revision: str, where: str) -> tuple[Export, tempfile.TemporaryDirectory[str]]:
    """The tree in a temporary directory, by way of an index of its own: attributes and line ends as in a checkout."""
    folder = tempfile.TemporaryDirectory(prefix="ocspec-revision-")
    tree = Path(folder.name).resolve() / "tree"
    tree.mkdir()
    index = {"GIT_INDEX_FILE": str(tree.parent / "index")}
    _git(top, "read-tree", commit, where=where, environment=index)
    _git(top, "checkout-index", "--all", f"--prefix={tree}/", where=where, environment=index)
    return Export(name=revision, commit=commit, top=top, tree=tree), folder


# ---------------------------------------------------------------- git


def _run(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A git command that is not led astray by a hook's environment, runs no hook and fetches no large files."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    settings = {**kept, "LC_ALL": "C", "GIT_LFS_SKIP_SMUDGE": "1", **(environment or {})}
    command = ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", *arguments]
    return subprocess.run(
        command, env=settings, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
    )


def _ok(folder: Path, *arguments: str) -> bool:
    return _run(folder, *arguments).returncode == 0


def _output(folder: Path, *arguments: str) -> str:
    """What a git command prints; nothing where it fails."""
    done = _run(folder, *arguments)
    return done.stdout.strip() if done.returncode == 0 else ""


def _git(folder: Path, *arguments: str, where: str, fix: str = "", environment: dict[str, str] | None = None) -> str:
    """What a git command prints; a UserError with its own words where it fails."""
    try:
        done = _run(folder, *arguments, environment=environment)
    except FileNotFoundError:
        raise UserError("git is not installed", where=where, fix="install git, or give a plain file") from None
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no reason given"])[0].removeprefix("fatal: ")
        raise UserError(f"git says: {words}", where=where, fix=fix)
    return done.stdout.strip()
