"""Reviews: what was looked at when a plan was reviewed, so that what runs later is that or nothing.

`review.json` beside plan.json holds the digest of the plan, what was to become of each task, the artefacts that were to
be reused or that the reasons speak of, and the digest of the lock; those of the sources are in the plan. It holds no
path of a machine. It is not a signature: whoever can write the plan can write the review.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import cattrs

from compiler import lock as locks
from compiler.errors import UserError
from compiler.files import write_atomically
from compiler.plan import Plan
from runtime.inventory import manifest_of
from runtime.reasons import RUNS, Action, Outlook, outlook
from runtime.run import moved_sources
from runtime.store import Store

FORMAT_VERSION = 3
REVIEW_FILE = "review.json"
MOST_NAMED = 4
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
AGAIN = "look at what it is now: `ocspec plan SPEC --out DIR`, then submit that"


@attrs.frozen(kw_only=True)
class ReviewedTask:
    """What was to become of a task; `key` and `digest` are those of the artefact that was to be reused.

    `compared` is the key of the artefact that the reason to run was found against, where one was there.
    """

    action: Action
    key: str | None = None
    digest: str | None = None
    compared: str | None = None


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
    except (cattrs.BaseValidationError, ValueError, KeyError, TypeError, RecursionError):
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
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    file.unlink(missing_ok=True)
    return True


def moved(review: Review, plan: Plan, file: Path, base: Path, store: Store) -> list[UserError]:
    """What is not as it was reviewed: one message for each kind, with what moved. Nothing if it may run."""
    if _digest_of(file) != review.plan:  # what it says of its tasks need not be of these
        what = f"{file.name} is not the one that was reviewed ({review.plan[:16]} -> {_digest_of(file)[:16]})"
        return [UserError(what, where=str(file), fix="compile and review it again: `ocspec plan SPEC --out DIR`")]
    if review.tasks.keys() != {task.id for task in plan.tasks}:
        what = "the review beside the plan cannot be read: it speaks of other tasks than the plan"
        return [UserError(what, where=str(file.with_name(REVIEW_FILE)), fix=AGAIN)]
    found = [_sources(plan, base), _work(review, plan, store), _lock(review, base)]
    return [problem for problem in found if problem is not None]


def here_already(review: Review, plan: Plan, store: Store) -> list[str]:
    """Tasks that were to run and have been built since: no harm, they are reused."""
    to_run = (task for task in plan.tasks if task.id in review.tasks and review.tasks[task.id].action in RUNS)
    return [task.id for task in to_run if store.find(task.fingerprint) is not None]


def _reviewed(one: Outlook) -> ReviewedTask:
    if one.artifact is None:
        gone = one.reason.code in {"artefact_missing", "artefact_damaged"}
        return ReviewedTask(action=one.action, compared=None if gone else one.reason.key)
    return ReviewedTask(action=one.action, key=one.artifact.manifest["key"], digest=one.artifact.manifest["digest"])


def _sources(plan: Plan, base: Path) -> UserError | None:
    """Of all tasks, also of those that are reused: what was reviewed was made of other data."""
    found = moved_sources(plan.tasks, base)
    if not found:
        return None
    what = f"{_counted(len(found), 'source')} not as reviewed: {_few([str(problem.what) for problem in found])}"
    return UserError(what, where=str(base), fix=f"put the data back, or {AGAIN}")


def _work(review: Review, plan: Plan, store: Store) -> UserError | None:
    """Of all tasks that would do more than was reviewed, or something else: less, as some are built since, is fine."""
    now = {one.task.id: one for one in outlook(plan, store)}
    found = {name: _departs(name, review, now, store) for name in review.tasks}
    problems = [f"{name} ({said})" for name, said in found.items() if said]
    if not problems:
        return None
    would = "task would" if len(problems) == 1 else "tasks would"
    what = f"in this store {len(problems)} {would} not do what was reviewed: {_few(problems)}"
    return UserError(what, where=str(store.root), fix=f"name the store that was reviewed with --store, or {AGAIN}")


def _departs(name: str, review: Review, now: Mapping[str, Outlook], store: Store) -> str | None:
    """What was reviewed and what it is now, None where that is no more work and of the same artefacts."""
    was, is_ = review.tasks[name], now[name]
    if was.action not in RUNS:
        return _departs_from_reuse(was, is_, store)
    if not is_.runs:  # built since
        return None
    if is_.action == "new" != was.action or (was.action == "may cut off" and _may_no_more(is_, review, now)):
        return f"{was.action} -> {is_.action}"
    if was.compared is not None and manifest_of(store, was.compared) is None:
        return f"{was.action}, {was.compared[:16]} that it was compared with is gone"
    return None


def _departs_from_reuse(was: ReviewedTask, is_: Outlook, store: Store) -> str | None:
    if is_.artifact is None:
        gone = f", {was.key[:16]} is gone" if was.key and manifest_of(store, was.key) is None else ""
        return f"{was.action} -> {is_.action}{gone}"
    digest = str(is_.artifact.manifest["digest"])
    return None if digest == was.digest else f"{was.action}, other content: {str(was.digest)[:16]} -> {digest[:16]}"


def _may_no_more(is_: Outlook, review: Review, now: Mapping[str, Outlook]) -> bool:
    """Whether a task has to run that might have been cut off, though nothing came out since that it reads.

    Where something did, and not as it was before, to run is one of the two things that were reviewed.
    """
    came = [name for name in is_.task.upstream if review.tasks[name].action in RUNS and not now[name].runs]
    return is_.action != "may cut off" and not came


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
