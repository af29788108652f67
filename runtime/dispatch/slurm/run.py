"""A plan's run on Slurm: submit what is missing, see where it stands, cancel it.

Every call starts from what is written down and from what Slurm says, and keeps nothing: submit can be killed and
called again from anywhere. What runs on the nodes needs none of this to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from compiler.errors import UserError
from compiler.plan import Plan
from compiler.profile import Profile
from runtime.dispatch.slurm import client, ledger, submission
from runtime.dispatch.slurm.choice import Choice, Part, choose
from runtime.dispatch.slurm.client import Patience, scancel
from runtime.dispatch.slurm.kept_profile import write_profile
from runtime.dispatch.slurm.labels import tag_of
from runtime.dispatch.slurm.ledger import Ledger, Submission
from runtime.dispatch.slurm.queue import Row, Snapshot, look
from runtime.dispatch.slurm.retry import Retries
from runtime.dispatch.slurm.states import ShardState, shard_states
from runtime.dispatch.slurm.submitter import Preview, Stopped, Submitter
from runtime.holder import Holder
from runtime.lease import Lease
from runtime.store import Store
from runtime.worker import finished_by_task, finished_shards

VERIFICATIONS = 5  # a controller that is killed forgets what it took in its last seconds
CANCEL_PATIENCE_S = 180.0
SUBMIT_PATIENCE_S = 60.0


@attrs.frozen(kw_only=True)
class Submitted:
    """What one submit did: submissions that it queued; shards that were live or finished before; blocked tasks."""

    submissions: tuple[Submission, ...] = ()
    live: int = 0
    finished: int = 0
    blocked: tuple[str, ...] = ()

    @property
    def shards(self) -> int:
        """Shards that this call queued."""
        return sum(len(one.shards) for one in self.submissions)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of which this call queued shards."""
        return tuple(dict.fromkeys(one.task for one in self.submissions))


@attrs.define(kw_only=True)
class SlurmRun:
    """The run of one plan. `worker` is the module that runs a shard on the node; `say` is told of waiting."""

    plan: Plan
    plan_path: Path
    store: Store
    profile: Profile
    say: Callable[[str], None] = lambda text: None
    worker: str = "runtime.worker"
    patience: Patience = attrs.field(init=False)
    ledger: Ledger = attrs.field(init=False)
    tag: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.plan_path = self.plan_path.resolve()
        self.patience = Patience(self.profile.controller_patience_s, self.say)
        self.ledger = Ledger(self.run_dir)
        self.tag = tag_of(self.run_dir)

    @property
    def run_dir(self) -> Path:
        """The directory of the plan."""
        return self.plan_path.parent

    @property
    def submitter(self) -> Submitter:
        """What makes this run's jobs."""
        return Submitter(
            plan_path=self.plan_path,
            store=self.store.root,
            profile=self.profile,
            tag=self.tag,
            ledger=self.ledger,
            patience=self.patience,
            worker=self.worker,
        )

    # -- look

    def look(self) -> tuple[list[ShardState], Snapshot]:
        """Where every shard stands; one squeue, and one sacct where squeue has forgotten a job of an open task.

        What the nodes wrote is read after Slurm has answered: of a job that ended meanwhile it tells why, and has the
        result.
        """
        events = self.ledger.journal.read()
        submissions = self.ledger.submissions()
        done = finished_by_task(self.plan, self.store)
        places = ledger.places(submissions, events).items()
        wanted = [(one.id, element) for (task, shard), (one, element) in places if shard not in done.get(task, ())]
        snapshot = self.patience.until_answered(lambda: look(self.tag, ledger.job_ids(events), wanted))
        unfinished = [task for task in self.plan.tasks if len(done[task.id]) < task.shards]
        done |= {task.id: finished_shards(self.plan, task, self.store) for task in unfinished}
        return shard_states(self.plan, done, submissions, self.ledger.journal.read(), snapshot), snapshot

    def _queue(self) -> Snapshot:
        """The jobs of this run that Slurm has in its queue."""
        return self.patience.until_answered(lambda: look(self.tag, {}))

    # -- submit

    def check(self) -> list[UserError]:
        """What Slurm could not run as the cluster stands now, asked once per kind of request; queues nothing."""
        wanted = [task for task in self.plan.tasks if self.store.find(task.fingerprint) is None]
        kinds = {attrs.evolve(task.resources, disk_mb=0, seconds=None): task for task in wanted}
        asked = [self.submitter.request(Part(task=task, shards=(0,)), 1) for task in kinds.values()]
        return [problem for one in asked if (problem := submission.check(one))]

    def preview(self) -> list[Preview]:
        """What a submit would hand to sbatch now, with its batch scripts; queues nothing."""
        choice, _, _ = self._choose(only_retries=False)
        limit = self.patience.until_answered(client.max_array_size)
        return list(self.submitter.preview(choice, limit, ledger.job_ids(self.ledger.journal.read())))

    def submit(self, *, supervisor: bool = False) -> Submitted:
        """Queue what is missing, parents first, and return.

        A person's submit takes every shard that is neither finished nor queued; the supervisor's only those that the
        policy tries again. After a refusal nothing of this call stays queued, unless a limit on the number of jobs is
        reached: then what was taken stays. Raises UserError with what sbatch said, or with who else is submitting.
        """
        with self._alone() as lease:
            if supervisor and self.submitter.cancelled.exists():
                return Submitted()
            self._adopt()
            if not supervisor:
                self.submitter.cancelled.unlink(missing_ok=True)
                self.ledger.journal.write("submit", tasks=len(self.plan.tasks))
            write_profile(self.run_dir, self.profile)
            try:
                made, watched = self._submit_missing(supervisor, lease)
            except (client.Unanswered, Stopped):
                raise
            except UserError:  # what is in the queue has to be looked after all the same
                with suppress(UserError):
                    self._supervise()
                raise
            self._supervise(watched)
            return made

    def _submit_missing(self, supervisor: bool, lease: Lease) -> tuple[Submitted, list[Row]]:
        """Submit, look again, and submit once more what a controller that died meanwhile has forgotten.

        Also what was tried again because it failed meanwhile; there a refusal is no refusal of what was asked for.
        Returns the jobs, too, that waited or ran when everything else was seen to be done.
        """
        made: list[Submission] = []
        limit = self.patience.until_answered(client.max_array_size)
        for attempt in range(VERIFICATIONS):
            choice, states, snapshot = self._choose(only_retries=supervisor or attempt > 0)
            if attempt == 0:
                live, finished = sum(s.is_live for s in states), sum(s.state == "finished" for s in states)
            arrays = snapshot.arrays()
            self._see_through(made, arrays)
            scancel(arrays[one] for one in choice.doomed if one in arrays)
            scancel(row.job_id for row in snapshot.live if row.is_stuck)
            if not choice.parts:
                break
            jobs = ledger.job_ids(self.ledger.journal.read())
            again = supervisor or attempt > 0
            made += self.submitter.submit(choice, limit, jobs, check=lease.check, keep_going=again)
        else:
            what = f"Slurm forgot jobs that it had taken, {VERIFICATIONS} times one after another"
            raise UserError(what, fix="see `scontrol ping`; when it answers steadily, run `ocspec submit` again")
        watched = [row for row in snapshot.live if row.label and row.label.submission not in choice.doomed]
        return Submitted(submissions=tuple(made), live=live, finished=finished, blocked=choice.blocked), watched

    def _see_through(self, made: Iterable[Submission], arrays: Mapping[str, str]) -> None:
        """Raise UserError where squeue hides a job that is there: to it, all of ours would be lost again and again."""
        jobs = ledger.job_ids(self.ledger.journal.read())
        for one in made:
            if one.id not in arrays and one.id in jobs and submission.is_known(jobs[one.id], one.id):
                raise UserError(
                    f"squeue does not show job {jobs[one.id]}, which Slurm has taken a moment ago",
                    fix="see `squeue --all --me`: something filters it, or the job went to another cluster",
                )

    def _choose(self, *, only_retries: bool) -> tuple[Choice, list[ShardState], Snapshot]:
        states, snapshot = self.look()
        retries = Retries.read(self.ledger.journal.read())
        policy = self.profile.retry
        dead = {row.label.submission for row in snapshot.live if row.is_stuck and row.label}
        submissions = self.ledger.submissions()
        choice = choose(self.plan, states, submissions, retries, policy, only_retries=only_retries, dead=dead)
        return choice, states, snapshot

    def _adopt(self) -> None:
        """Note the jobs of submissions whose driver died right after sbatch, and withdraw those that have none."""
        events = self.ledger.journal.read()
        known = set(ledger.job_ids(events)) | ledger.withdrawn(events)
        lost = [one for one in self.ledger.submissions() if one.id not in known]
        queued = self._queue()
        arrays, gone = queued.arrays(), ledger.withdrawn(events)
        # An sbatch may outlive the driver that it was killed with, and be answered late.
        scancel(row.array for row in queued.live if row.label and row.label.submission in gone)
        for one in lost:
            if one.id in arrays:
                self.ledger.submitted(one, arrays[one.id], found=True)
            else:
                self.ledger.withdraw(one, "its driver ended before Slurm took it")

    # -- supervise

    def _supervise(self, watched: Iterable[Row] = ()) -> None:
        """Queue the job that submits again what failed; it takes the place of the one that waits so far.

        It looks after what is in the queue, and after those `watched` jobs of the last look that have ended since:
        nobody has seen how.
        """
        if not self.profile.supervise:
            return
        live, gone = self._queue().live, ledger.withdrawn(self.ledger.journal.read())
        # What was taken back leaves the queue a moment later, and as one that failed.
        jobs = [row for row in [*live, *watched] if row.label and row.label.submission not in gone]
        arrays = sorted({row.array for row in jobs if not (row.is_supervisor or row.is_stuck)}, key=int)
        if arrays:
            self.submitter.supervise(arrays)
        scancel(row.array for row in live if row.is_supervisor and row.state == "PENDING")

    # -- cancel

    def cancel(self, patience_s: float = CANCEL_PATIENCE_S) -> int:
        """Cancel everything of this run and wait until it is out of the queue; how many jobs that were.

        What retries goes first, then what waits, so that nothing starts meanwhile. Raises UserError when some are
        still there after `patience_s` (a node that does not answer), or the controller does not answer.
        """
        self.submitter.cancelled.parent.mkdir(parents=True, exist_ok=True)
        self.submitter.cancelled.touch()  # whoever submits at this moment stops at its next job
        self.ledger.journal.write("cancel")
        end = time.monotonic() + patience_s
        cancelled = self._empty_queue(end)
        with self._alone():  # that last job may have come after our last look
            return len(cancelled | self._empty_queue(end))

    def _empty_queue(self, end: float) -> set[str]:
        """Cancel until the queue shows no job of this run; the ids of those that it showed."""
        cancelled: set[str] = set()
        while rows := self._queue().live:
            job_ids = {row.job_id for row in rows}
            if time.monotonic() > end:
                raise UserError(
                    f"{len(job_ids)} jobs are still in the queue: {_few(job_ids)}",
                    fix="see `squeue` and `sinfo`: their nodes may not answer; then cancel again",
                )
            cancelled |= job_ids
            scancel(row.array for row in rows if row.is_supervisor)
            arrays = {row.array for row in rows}
            scancel(arrays, "--state=PENDING")
            scancel(arrays)
            time.sleep(0.5)
        return cancelled

    # -- one at a time

    @contextmanager
    def _alone(self) -> Iterator[Lease]:
        """One submit of this plan at a time, on any machine."""
        path = self.run_dir / "slurm" / "submit.lease"
        with Lease.hold(path, timeout_s=SUBMIT_PATIENCE_S, on_wait=self._say_who_submits) as lease:
            yield lease

    def _say_who_submits(self, holder: Holder) -> None:
        self.say(f"another submit of this plan is going on ({holder}); waiting up to {SUBMIT_PATIENCE_S:.0f} s")


def _few(names: Iterable[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:5]) + (f" and {len(some) - 5} more" if len(some) > 5 else "")
