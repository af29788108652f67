"""Reviews: what was looked at when a plan was reviewed, so that what runs later is that or nothing.

`review.json` beside plan.json holds the digest of the plan, what was to become of each task, the artefacts that were to
be reused, and the digest of the lock; those of the sources are in the plan. It holds no path of a machine. It is not a
signature: whoever can write the plan can write the review.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import cattrs

from compiler import lock as locks
from compiler.errors import UserError
from compiler.files import write_atomically
from compiler.plan import Plan
from runtime.reasons import RUNS, Action, Outlook
from runtime.run import moved_sources
from runtime.store import Store

FORMAT_VERSION = 2
REVIEW_FILE = "review.json"
MOST_NAMED = 4
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
AGAIN = "look at what it is now: `ocspec plan SPEC --out DIR`, then submit that"


@attrs.frozen(kw_only=True)
class ReviewedTask:
    """What was to become of a task; `key` and `digest` are those of the artefact that was to be reused."""

    action: Action
    key: str | None = None
    digest: str | None = None


@attrs.frozen(kw_only=True)
class ReviewedLock:
    """The lock beside the spec: the name of its file, and the digest of what it says."""

    file: str
    digest: str


@attrs.frozen(kw_only=True)
class Review:
    """What `ocspec plan` showed, by digests."""

    experiment: str
    plan: str
    tasks: dict[str, ReviewedTask]
    lock: ReviewedLock | None = None
    format_version: int = FORMAT_VERSION


def review_of(plan: Plan, file: Path, outlooks: Iterable[Outlook], lock: ReviewedLock | None = None) -> Review:
    """The review of a written plan."""
    return Review(
        experiment=plan.experiment,
        plan=_digest_of(file),
        tasks={one.task.id: _reviewed(one) for one in outlooks},
        lock=lock,
    )


def lock_at(file: Path) -> ReviewedLock | None:
    """A lock as it is now, None where there is none. UserError for one that cannot be read."""
    digest = locks.digest_at(file)
    return ReviewedLock(file=file.name, digest=digest) if digest else None


def save(review: Review, directory: Path) -> Path:
    """Write review.json, aside and renamed; UserError where that fails."""
    file = directory / REVIEW_FILE
    try:
        write_atomically(file, json.dumps(cattrs.unstructure(review), indent=1) + "\n")
    except OSError as error:
        raise UserError(
            f"the review cannot be written ({error.strerror})", where=str(file), fix="choose another --out"
        ) from None
    return file


def load(directory: Path) -> Review | None:
    """The review beside a plan, None where there is none; UserError for one that cannot be read."""
    file = directory / REVIEW_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"the review cannot be read ({error})", where=str(file), fix=AGAIN) from None
    try:
        data = json.loads(text)
        if data["format_version"] == FORMAT_VERSION:
            return _CONVERTER.structure(data, Review)
        what = f"its format_version is {data['format_version']}, this ocspec reads {FORMAT_VERSION}"
    except (cattrs.BaseValidationError, ValueError, KeyError, TypeError):
        what = "it is damaged"
    raise UserError(f"the review beside the plan cannot be read: {what}", where=str(file), fix=AGAIN)


def discard_if_other(plan: Path) -> bool:
    """Remove the review beside a plan that was written since, unless it is of these very bytes; whether it did."""
    file = plan.with_name(REVIEW_FILE)
    try:
        if json.loads(file.read_text())["plan"] == _digest_of(plan):
            return False
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        pass
    file.unlink(missing_ok=True)
    return True


def moved(review: Review, plan: Plan, file: Path, base: Path, store: Store) -> list[UserError]:
    """What is not as it was reviewed: one message for each kind, with what moved. Nothing if it may run."""
    if _digest_of(file) != review.plan:  # what it says of its tasks need not be of these
        what = f"{file.name} is not the one that was reviewed ({review.plan[:16]} -> {_digest_of(file)[:16]})"
        return [UserError(what, where=str(file), fix="compile and review it again: `ocspec plan SPEC --out DIR`")]
    found = [_sources(plan, base), _artefacts(review, store), _lock(review, base)]
    return [problem for problem in found if problem is not None]


def here_already(review: Review, plan: Plan, store: Store) -> list[str]:
    """Tasks that were to run and have been built since: no harm, they are reused."""
    to_run = (task for task in plan.tasks if task.id in review.tasks and review.tasks[task.id].action in RUNS)
    return [task.id for task in to_run if store.find(task.fingerprint) is not None]


def _reviewed(one: Outlook) -> ReviewedTask:
    if one.artifact is None:
        return ReviewedTask(action=one.action)
    return ReviewedTask(action=one.action, key=one.artifact.manifest["key"], digest=one.artifact.manifest["digest"])


def _sources(plan: Plan, base: Path) -> UserError | None:
    """Of all tasks, also of those that are reused: what was reviewed was made of other data."""
    found = moved_sources(plan.tasks, base)
    if not found:
        return None
    what = f"{_counted(len(found), 'source')} not as reviewed: {_few([str(problem.what) for problem in found])}"
    return UserError(what, where=str(base), fix=f"put the data back, or {AGAIN}")


def _artefacts(review: Review, store: Store) -> UserError | None:
    problems = []
    for name, task in review.tasks.items():
        if task.key is None:
            continue
        there = store.artifact(task.key)
        if there is None:
            problems.append(f"{name} (gone, {task.key[:16]})")
        elif there.manifest["digest"] != task.digest:
            problems.append(f"{name} (other content, {str(task.digest)[:16]} -> {there.manifest['digest'][:16]})")
    if not problems:
        return None
    what = f"{_counted(len(problems), 'artefact')} not in the store that the plan was to reuse: {_few(problems)}"
    return UserError(what, where=str(store.root), fix=f"name the store that was reviewed with --store, or {AGAIN}")


def _lock(review: Review, base: Path) -> UserError | None:
    if review.lock is None:
        return None
    found = locks.digest_at(base / review.lock.file)
    if found == review.lock.digest:
        return None
    now = f"is another ({review.lock.digest[:16]} -> {found[:16]})" if found else "is gone"
    return UserError(
        f"the lock that the plan was reviewed with {now}",
        where=str(base / review.lock.file),
        fix=f"put the lock back, or {AGAIN}",
    )


def _digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
