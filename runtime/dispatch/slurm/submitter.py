"""Submitter: turns parts of a choice into arrays, each written down, submitted and noted. It decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from compiler.errors import UserError
from compiler.packing import pack
from compiler.plan import Resources
from compiler.profile import Profile, Settings
from runtime.dispatch.slurm import ledger, submission
from runtime.dispatch.slurm.choice import Choice, Part
from runtime.dispatch.slurm.client import Patience, Unanswered, scancel
from runtime.dispatch.slurm.labels import SUPERVISOR, Label, logs_of, slug, supervisor_logs
from runtime.dispatch.slurm.ledger import Ledger, Submission
from runtime.dispatch.slurm.script import Request
from runtime.lease import LeaseLost
from runtime.node import markers

SUPERVISOR_MINUTES = 30
NOBODY = "00000000"  # the submission of a request that is only shown or checked
Elements = tuple[tuple[int, ...], ...]


@attrs.frozen(kw_only=True)
class Preview:
    """One sbatch that a submit would make: the shards of each element, and the batch script.

    In the script, `JOB-` and a submission stand for the job of another one that is not queued yet.
    """

    task: str
    elements: Elements
    script: str


class Stopped(UserError):
    """Somebody cancelled the run, or took it over, while it was submitted."""


@attrs.define(kw_only=True)
class Submitter:
    """What all jobs of a run have in common. `worker` is the module that runs a shard on the node."""

    plan_path: Path
    store: Path
    profile: Profile
    tag: str
    ledger: Ledger
    patience: Patience
    worker: str = "runtime.worker"

    @property
    def run_dir(self) -> Path:
        """The directory of the plan."""
        return self.plan_path.parent

    @property
    def cancelled(self) -> Path:
        """A file that is there from when somebody cancels the run until somebody submits it again."""
        return self.run_dir / "slurm" / "cancelled"

    def submit(
        self,
        choice: Choice,
        limit: int,
        jobs: Mapping[str, str],
        *,
        check: Callable[[], None] = lambda: None,
        keep_going: bool = False,
    ) -> list[Submission]:
        """Submit every part in arrays of at most `limit` elements; `jobs` are the job ids of earlier submissions.

        All or none after a refusal, UserError; with `keep_going` a refused part and what is below it are left out.
        Where a limit on the number of jobs is reached, what was taken stays. Where Slurm has forgotten a parent it
        stops early: another look tells what has to be submitted again. `check` is called before each sbatch and may
        raise.
        """
        made: list[Submission] = []
        known = dict(jobs)
        live = {task_id: dict(found) for task_id, found in choice.live.items()}
        left_out: set[str] = set()
        try:
            for part in choice.parts:
                if left_out.intersection(part.task.upstream):
                    left_out.add(part.task.id)
                    continue
                try:
                    for one, job in self._part(part, limit, live, known, check):
                        made.append(one)
                        known[one.id] = job
                        live.setdefault(part.task.id, {})[one.id] = True
                except (submission.QueueFull, submission.ParentForgotten, Unanswered, Stopped, LeaseLost):
                    raise
                except UserError as error:
                    if not keep_going:
                        raise
                    left_out.add(part.task.id)
                    self.ledger.journal.write("refused", task=part.task.id, shards=list(part.shards), why=error.what)
        except submission.QueueFull as error:
            left = len({part.task.id for part in choice.parts} - {one.task for one in made})
            raise submission.QueueFull(
                f"{error.what}; {len(made)} jobs are queued, {left} tasks are not yet",
                fix="run `ocspec submit` again when some have ended",
            ) from None
        except submission.ParentForgotten:
            return made
        except (Unanswered, LeaseLost):
            raise
        except UserError:
            self._take_back(made, known)
            raise
        return made

    def _take_back(self, made: Sequence[Submission], jobs: Mapping[str, str]) -> None:
        """Cancel what this call queued."""
        scancel(jobs[one.id] for one in made)
        for one in made:
            self.ledger.withdraw(one, "taken back after a refusal")

    def preview(self, choice: Choice, limit: int, jobs: Mapping[str, str]) -> Iterator[Preview]:
        """What `submit` would hand to sbatch; queues nothing."""
        known = dict(jobs)
        live = {task_id: dict(found) for task_id, found in choice.live.items()}
        for part in choice.parts:
            for asked, elements, _, _ in self._arrays(part, limit, live, known):
                one = asked.label.submission
                known[one] = f"JOB-{one}"
                live.setdefault(part.task.id, {})[one] = True
                yield Preview(task=part.task.id, elements=elements, script=submission.text(asked))

    def _part(
        self,
        part: Part,
        limit: int,
        live: Mapping[str, Mapping[str, bool]],
        jobs: Mapping[str, str],
        check: Callable[[], None],
    ) -> Iterator[tuple[Submission, str]]:
        """Submit the shards of a part; yields each submission with its job's id.

        An array that is too large for what one may queue is halved: the limit counts elements.
        """
        todo = list(self._arrays(part, limit, live, jobs))
        while todo:
            asked, elements, after, after_any = todo.pop(0)
            check()
            if self.cancelled.exists():
                raise Stopped("the run was cancelled while it was submitted", fix="run `ocspec submit` again")
            try:
                one, job = self._one(part, asked, elements, after, after_any)
            except submission.QueueFull:
                if len(elements) == 1:
                    raise
                middle = len(elements) // 2
                halves = [elements[:middle], elements[middle:]]
                again = [self.request(part, len(some), ledger.new_id(), asked.dependency) for some in halves]
                todo[:0] = [(half, some, after, after_any) for half, some in zip(again, halves, strict=True)]
                continue
            self._note_retries(part, one)
            yield one, job

    def _arrays(
        self, part: Part, limit: int, live: Mapping[str, Mapping[str, bool]], jobs: Mapping[str, str]
    ) -> Iterator[tuple[Request, Elements, tuple[str, ...], tuple[str, ...]]]:
        """The arrays of a part: what is asked for, the shards of each element, and which submissions go before."""
        settings = self.settings(part)
        elements = pack(part.shards, part.task.resources.seconds, settings.shards_per_job or 0, settings.minutes)
        parents = {one: holds for task in part.task.upstream for one, holds in live.get(task, {}).items()}
        after = tuple(one for one, holds in parents.items() if holds)
        after_any = tuple(one for one, holds in parents.items() if not holds)
        dependency = depend(jobs, after, after_any)
        for start in range(0, len(elements), limit):
            some = elements[start : start + limit]
            yield self.request(part, len(some), ledger.new_id(), dependency), some, after, after_any

    def _one(
        self,
        part: Part,
        asked: Request,
        elements: tuple[tuple[int, ...], ...],
        after: tuple[str, ...],
        after_any: tuple[str, ...],
    ) -> tuple[Submission, str]:
        """Write a submission down, submit it, note its job."""
        retry = self.profile.retry
        one = Submission(
            id=asked.label.submission,
            task=part.task.id,
            task_class=part.task.resources.task_class,
            plan=str(self.plan_path),
            store=str(self.store.resolve()),
            run_dir=str(self.run_dir),
            elements=elements,
            after=after,
            after_any=after_any,
            memory_mb=asked.memory_mb,
            raised=part.memory_mb is not None,
            minutes=asked.minutes,
            signal_s=asked.signal_s,
            restarts=max(retry.preempted, retry.timeout, retry.node_failed),
            crashes=retry.node_failed,
            time=time.time(),
            worker=self.worker,
        )
        passed = submission.passed(asked)
        markers(self.run_dir, one.id).mkdir(parents=True, exist_ok=True)
        self.ledger.open(one)
        try:
            job = submission.sbatch(asked, self.patience, passed)
        except Unanswered:
            raise  # it may be queued all the same: the next submit looks for it
        except UserError as error:
            self.ledger.withdraw(one, error.what)
            raise
        self.ledger.submitted(one, job)
        return one, job

    def request(self, part: Part, elements: int, submission_id: str = NOBODY, dependency: str = "") -> Request:
        """What sbatch is given for so many elements of a part."""
        return Request(
            label=Label(self.tag, slug(part.task.id), submission_id),
            asked=part.task.resources,
            settings=self.settings(part),
            argv=("-u", "-m", "runtime.node", str(self.ledger.path(submission_id))),
            logs=logs_of(self.run_dir, part.task.id),
            elements=elements if elements > 1 else 0,
            dependency=dependency,
            markers=markers(self.run_dir, submission_id),
        )

    def settings(self, part: Part) -> Settings:
        """The profile's settings for a part's task class, with the part's own memory where that is more."""
        settings = self.profile.settings(part.task.resources.task_class)
        figure = settings.memory_mb or part.task.resources.memory_mb
        return attrs.evolve(settings, memory_mb=max(figure, part.memory_mb)) if part.memory_mb else settings

    def supervise(self, arrays: Iterable[str]) -> str:
        """Queue the job that starts when one of these arrays has ended with a failure; its id."""
        asked = Request(
            label=Label(self.tag, SUPERVISOR, ledger.new_id()),
            asked=Resources(task_class="group", cpus=1, memory_mb=1024),
            settings=self._supervisor_settings(),
            argv=(
                *("-u", "-m", "runtime.dispatch.slurm.supervisor"),
                *(str(self.plan_path), str(self.store.resolve()), self.worker),
            ),
            logs=supervisor_logs(self.run_dir),
            dependency="?".join(f"afternotok:{array}" for array in arrays),
        )
        job = submission.sbatch(asked, self.patience, submission.passed(asked))
        self.ledger.journal.write("supervisor", job=job)
        return job

    def _supervisor_settings(self) -> Settings:
        """Those of small tasks, outside of any container: images have no sbatch."""
        settings = self.profile.settings("group")
        python = None if settings.container and settings.container.kind != "none" else settings.python
        options = {name: value for name, value in settings.sbatch.items() if name not in {"exclusive", "gres"}}
        small = attrs.evolve(settings, memory_mb=None, cpus=None, minutes=SUPERVISOR_MINUTES)
        return attrs.evolve(small, python=python, container=None, sbatch=options)

    def _note_retries(self, part: Part, one: Submission) -> None:
        causes = {shard: part.causes[shard] for shard in one.shards if shard in part.causes}
        for cause in sorted(set(causes.values())):
            shards = [shard for shard, why in causes.items() if why == cause]
            more = {} if part.memory_mb is None else {"memory_mb": part.memory_mb}
            self.ledger.journal.write("retry", task=part.task.id, shards=shards, cause=cause, **more)


def depend(jobs: Mapping[str, str], after: Iterable[str], after_any: Iterable[str]) -> str:
    """A dependency in sbatch's words. All of these submissions were in the queue a moment ago.

    Slurm takes an id that it has forgotten for one that succeeded, so those that ended long ago must not be named.

    >>> depend({"a": "7", "b": "8", "c": "9"}, ["a", "b"], ["c"])
    'afterok:7:8,afterany:9'
    """
    kinds = {"afterok": after, "afterany": after_any}
    lists = {kind: [jobs[one] for one in some if one in jobs] for kind, some in kinds.items()}
    return ",".join(":".join([kind, *some]) for kind, some in lists.items() if some)
