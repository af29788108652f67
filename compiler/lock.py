"""A lock as text: where it is, what its lines say, its digest, and what differs between two of them.

A lock is all that an experiment resolves to, one `path = value` a line, sorted, to be read in review. Not a plan, which
holds queries and jobs and is made to be run, and not a spec. It holds no absolute path, host or time, so the same spec
has the same lock anywhere. `compiler.locking` makes it. Lines by what their path begins with:

    curriculum.stages.anneal.micro_batch = 4     a field of the spec, defaults included, by the paths of `ocspec diff`
    derived:anneal.tokens = 99999546624          a number that the compiler worked out
    catalogue:num_lines_min = num_lines < 10.0   a rule of the catalogue that a data set is filtered by
    operator:data.sign = 2                       an operator's version
    source:github_code.digest = bytes:1f2e...    content of a source; `source:tokenizer` is the tokenizer's file
    task:github_code/sign = data.sign 1f2e...    a task's operator and the first 16 digits of its fingerprint
    version:duckdb = 1.4.2                       recorded, and compared with nothing

For others who work with locks: `lock_file` says where the lock of a spec is, `digest_at` what it says in 64 digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

from compiler.errors import UserError

FORMAT_VERSION = 1
SUFFIX = ".lock"
DEFAULT = "experiment"
RECORDED = "version:"
NAMED = "# ocspec lock, format "
HEAD = f"{NAMED}{FORMAT_VERSION}: made by `ocspec lock`, to be read and not edited\n"
MOST_SHOWN = 40


def lock_file(reference: str, directory: Path | None = None) -> Path:
    """Where the lock of `FILE` or `FILE:NAME` is or would be: beside the spec, or in `directory`.

    >>> str(lock_file("specs/a.py")), str(lock_file("specs/a.py:experiment")), str(lock_file("specs/a.py:small"))
    ('specs/a.lock', 'specs/a.lock', 'specs/a.small.lock')
    """
    file, _, name = reference.rpartition(":")
    if not file or not name.isidentifier():
        file, name = reference, DEFAULT
    stem = Path(file).name.removesuffix(".py")
    return (directory or Path(file).parent) / f"{stem}{'' if name == DEFAULT else f'.{name}'}{SUFFIX}"


def digest(text: str) -> str:
    """What a lock says, as 64 hex digits of SHA-256. Remarks, recorded versions and the order of lines say nothing."""
    lines = (f"{path} = {value}\n" for path, value in entries(text).items() if not path.startswith(RECORDED))
    return hashlib.sha256(b"lock1\0" + "".join(sorted(lines)).encode()).hexdigest()


def digest_at(file: Path) -> str | None:
    """The digest of the lock in that file, None where there is none. UserError for one that cannot be read."""
    text = read(file)
    return None if text is None else digest(text)


def read(file: Path) -> str | None:
    """The text of a lock, None where there is none. UserError for one that cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"cannot be read ({said})", where=str(file), fix="delete it, and run `ocspec lock`") from None


def entries(text: str, where: str = "lock") -> dict[str, str]:
    """The lines of a lock by their paths. UserError for no lock, a bad merge of two, another format."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):  # a value may hold what else str.splitlines() cuts at
        if what := _problem(line, found):
            raise UserError(what, where=f"{where}:{number}", fix="delete it, and run `ocspec lock`")
        if line and not line.startswith("#"):
            path, _, value = line.partition(" = ")
            found[path] = value
    return found


def _problem(line: str, found: Mapping[str, str]) -> str:
    """What is wrong with a line behind those that were found; of remarks only the head matters, for its format."""
    path, equals, _ = line.partition(" = ")
    if line.startswith("#"):
        other = line.startswith(NAMED) and not line.startswith(f"{NAMED}{FORMAT_VERSION}:")
        return f"a lock of another format, this ocspec reads {FORMAT_VERSION} ({line[:MOST_SHOWN]!r})" if other else ""
    if line and not equals:
        return f"not a lock: no `path = value` ({line[:MOST_SHOWN]!r})"
    return f"not a lock: `{path}` stands there twice" if path in found else ""


@attrs.frozen(kw_only=True)
class LockChange:
    """A line that differs; None on the side that lacks it."""

    path: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """As `ocspec diff` calls it."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"


def lock_changes(before: str, after: str) -> list[LockChange]:
    """The lines that differ between two locks, sorted by path; recorded versions are not compared."""
    old, new = entries(before), entries(after)
    return [
        LockChange(path=path, before=old.get(path), after=new.get(path))
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path) and not path.startswith(RECORDED)
    ]
