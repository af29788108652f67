"""Where a shard stands, for every state of Slurm and every cause: store, ledger, journal and queue put together."""

from __future__ import annotations

import re

import pytest

from runtime.dispatch.slurm.labels import Label
from runtime.dispatch.slurm.ledger import Submission
from runtime.dispatch.slurm.queue import STUCK, Row, Snapshot
from runtime.dispatch.slurm.states import ShardState, shard_states
from runtime.worker import finished_by_task
from tests.slurm.graph import make_plan, make_run, step

SUBMITTED = 1000.0
NOW = 2000.0
RUN = "r"

# What the journal tells after the submission; what Slurm says, STATE [EXIT] [key=value]; the state, cause and detail.
CASES = """
-                                  | PENDING reason=Priority               | queued Priority
-                                  | PENDING reason=Dependency             | queued Dependency
-                                  | CONFIGURING                           | running configuring
running                            | RUNNING                               | running
running                            | SUSPENDED                             | running suspended
running                            | STOPPED                               | running stopped
running                            | RESIZING                              | running resizing
running                            | SIGNALING                             | running signaling
running                            | STAGE_OUT                             | running stage_out
running                            | COMPLETING                            | completing
running                            | PENDING restarts=1 reason=BeginTime   | requeued BeginTime
running requeue=preempted          | PENDING restarts=1 reason=BeginTime   | preempted BeginTime
running requeue=timeout            | PENDING restarts=1                    | requeued
-                                  | PENDING restarts=1                    | requeued
-                                  | REQUEUED                              | requeued
-                                  | REQUEUE_FED                           | requeued
-                                  | REQUEUE_HOLD                          | requeued
-                                  | RESV_DEL_HOLD                         | requeued
-                                  | SPECIAL_EXIT                          | requeued
running requeue=preempted running  | RUNNING restarts=1                    | running
running                            | BOOT_FAIL                             | failed node_failed BOOT_FAIL
running                            | LAUNCH_FAILED                         | failed node_failed LAUNCH_FAILED
running                            | NODE_FAIL                             | failed node_failed NODE_FAIL in Slurm on n1
running                            | PREEMPTED                             | failed preempted PREEMPTED
running                            | TIMEOUT                               | failed timeout TIMEOUT
running                            | DEADLINE                              | failed timeout DEADLINE
running                            | OUT_OF_MEMORY                         | failed out_of_memory OUT_OF_MEMORY
running shard_failed=error         | OUT_OF_MEMORY                         | failed out_of_memory OUT_OF_MEMORY
running shard_failed=error         | TIMEOUT                               | failed error told
running shard_failed=error         | NODE_FAIL                             | failed error told
running shard_failed=error         | FAILED 1:0                            | failed error told
running shard_failed=out_of_memory | FAILED 1:0                            | failed out_of_memory told
running shard_failed=timeout       | FAILED 1:0                            | failed timeout told
running shard_failed=preempted     | FAILED 1:0                            | failed preempted told
running shard_failed=no_progress   | FAILED 1:0                            | failed no_progress told
running shard_failed=error shard_failed=preempted | FAILED 101:0                          | failed error told
running shard_failed=error         | -                                     | failed error told
running shard_failed=error running | FAILED 7:0                            | failed error FAILED in Slurm, exit code 7
running shard_failed=error running | RUNNING restarts=1                    | running
running other_failed=error         | FAILED 1:0                            | failed error FAILED in Slurm, exit code 1
running requeue=preempted          | FAILED 75:0                           | failed preempted which Slurm refused
running requeue=timeout            | FAILED 75:0                           | failed timeout which Slurm refused
running worker=refused             | FAILED 137:0                          | failed error refused
old_worker=refused running         | FAILED 7:0                            | failed error exit code 7
running                            | FAILED 7:0                            | failed error FAILED in Slurm, exit code 7
running                            | FAILED 0:53                           | failed error log could not be opened
running                            | FAILED 0:9                            | failed out_of_memory signal 9
running                            | FAILED 137:0                          | failed out_of_memory exit code 137
running                            | COMPLETED ended=1990                  | completing not visible yet
running                            | COMPLETED ended=1900                  | failed lost ended well
running                            | COMPLETED                             | failed lost ended well
-                                  | -                                     | failed lost does not know
running                            | -                                     | failed lost does not know
running                            | CANCELLED 0:15                        | cancelled cancelled cancelled in Slurm
running shard_failed=timeout       | CANCELLED 0:15                        | cancelled cancelled cancelled in Slurm
running requeue=preempted          | CANCELLED 75:0                        | cancelled cancelled cancelled in Slurm
running shard_failed=error         | CANCELLED 0:15                        | failed error told
cancel                             | -                                     | cancelled cancelled cancelled in Slurm
running cancel                     | COMPLETED ended=1900                  | cancelled cancelled cancelled in Slurm
old_cancel                         | -                                     | failed lost does not know
running requeue=preempted          | -                                     | failed preempted and was not
running requeue=preempted running  | -                                     | failed lost does not know
-                                  | REVOKED                               | failed error REVOKED in Slurm
-                                  | CANCELLED reason=DependencyNeverSatisfied | cancelled parent before it
-                                  | CANCELLED reason=Dependency           | cancelled cancelled in Slurm
running shard_failed=error         | FAILED 3:0 reason=Dependency          | failed error told
-                                  | PENDING reason=DependencyNeverSatisfied | cancelled parent before it
withdrawn                          | -                                     | missing
"""


def cases() -> list[tuple[str, str, str]]:
    rows = [[part.strip() for part in line.split("|")] for line in CASES.strip().splitlines()]
    return [(journal, slurm, expected) for journal, slurm, expected in rows]


def events_of(text: str) -> list[dict]:
    """Events of the journal in order; those that begin with old_ came before the submission."""
    events = []
    for number, word in enumerate(text.split() if text != "-" else []):
        kind, _, value = word.partition("=")
        time = (SUBMITTED - 1) if kind.startswith("old_") else SUBMITTED + 1 + number
        kind = kind.removeprefix("old_")
        shard = 1 if kind == "other_failed" else 0
        kind = {"other_failed": "shard_failed", "worker": "failed"}.get(kind, kind)
        about = {"submission": "0a000001", "element": 0, "task": "t", "shard": shard}
        events.append({"time": time, "event": kind, "cause": value, "error": value, **about})
        if kind == "shard_failed":
            events[-1]["error"] = "told"
    return events


def snapshot_of(text: str) -> Snapshot:
    if text == "-":
        return Snapshot()
    state, *words = text.split()
    fields = dict(word.split("=") for word in words if "=" in word)
    row = Row(
        job_id="7_0",
        state=state,
        label=Label(RUN, "t", "0a000001"),
        node="n1",
        reason=fields.get("reason", ""),
        restarts=int(fields.get("restarts", 0)),
        ended=float(fields["ended"]) if "ended" in fields else None,
        exit=next((word for word in words if ":" in word), ""),
    )
    return Snapshot({("0a000001", 0): (row,)})


def submission(**changes) -> Submission:
    paths = {"plan": "plan.json", "store": "store", "run_dir": "."}
    given = {"id": "0a000001", "task": "t", "task_class": "data", "elements": ((0, 1),), "time": SUBMITTED, **changes}
    return Submission(**paths, **given)


def states_of(run, *given) -> list[ShardState]:
    return shard_states(run.plan, finished_by_task(run.plan, run.store), *given)


def first(run, submissions, events, snapshot) -> ShardState:
    return states_of(run, submissions, events, snapshot, NOW)[0]


@pytest.mark.parametrize(("journal", "slurm", "expected"), cases())
def test_every_state_and_cause(tmp_path, journal, slurm, expected):
    """A table: see CASES."""
    run = make_run(tmp_path, make_plan(step("t", shards=2)))
    state = first(run, [submission()], events_of(journal), snapshot_of(slurm))
    words = expected.split()
    cause = words[1] if state.cause else None
    assert (state.state, state.cause) == (words[0], cause)
    detail = " ".join(words[2 if state.cause else 1 :])
    assert re.search(re.escape(detail), state.detail), state.detail
    assert bool(state.detail) == bool(detail)
    assert state.is_live == (words[0] not in {"failed", "cancelled", "missing"})


def test_nothing_is_known_of_what_was_never_submitted(tmp_path):
    """All shards of all tasks are there, in the plan's order."""
    run = make_run(tmp_path, make_plan(step("b", shards=2), step("a", ["b"])))
    states = states_of(run, [], [], Snapshot(), NOW)
    assert [(one.task_id, one.shard, one.state) for one in states] == [
        ("b", 0, "missing"),
        ("b", 1, "missing"),
        ("a", 0, "missing"),
    ]


def test_the_store_alone_decides_what_is_finished(tmp_path, finish):
    """Whatever Slurm and the journal say; and whose job it was is told."""
    run = make_run(tmp_path, make_plan(step("t", shards=2)))
    finish(run, "t", 0)
    told = events_of("running shard_failed=error")
    states = states_of(run, [submission()], told, snapshot_of("FAILED 1:0"), NOW)
    assert [(state.state, state.submission) for state in states] == [
        ("finished", "0a000001"),
        ("failed", "0a000001"),
    ]
    finish(run, "t", 1)
    assert [state.state for state in states_of(run, [], [], Snapshot(), NOW)] == ["finished"] * 2


@pytest.mark.parametrize(
    ("slurm", "journal"),
    [
        ("CANCELLED", "-"),
        ("-", "-"),
        ("PENDING reason=DependencyNeverSatisfied", "-"),
        ("FAILED 1:0", "running shard_failed=error"),
        ("FAILED 1:0", "running worker=unbuilt"),
    ],
)
def test_below_a_task_that_is_not_built_the_cause_is_the_parent(tmp_path, finish, slurm, journal):
    """Also where the shard ran, too early, and says that an input is not built; when it is, its error is its own."""
    run = make_run(tmp_path, make_plan(step("up"), step("t", ["up"])))
    given = ([submission(elements=((0,),))], events_of(journal), snapshot_of(slurm), NOW)
    _, state = states_of(run, *given)
    assert (state.state, state.cause) == ("cancelled", "parent")
    finish(run, "up", 0)
    _, state = states_of(run, *given)
    if "error" in journal:
        assert (state.state, state.cause) == ("failed", "error")


def test_an_element_that_is_gone_while_others_of_its_array_are_known_was_cancelled(tmp_path):
    """Slurm keeps no record of an element that is cancelled as it waits; a lost array is gone as a whole."""
    run = make_run(tmp_path, make_plan(step("t", shards=2)))
    array = submission(elements=((0,), (1,)))
    row = Row(job_id="7_1", state="RUNNING", label=Label(RUN, "t", array.id))
    gone, lives = states_of(run, [array], [], Snapshot({(array.id, 1): (row,)}), NOW)
    assert (gone.cause, lives.state) == ("cancelled", "running")
    ran = events_of("running")
    gone, _ = states_of(run, [array], ran, Snapshot({(array.id, 1): (row,)}), NOW)
    assert gone.cause == "lost"


@pytest.mark.parametrize(("above", "cause"), [("RUNNING", "cancelled"), ("PENDING", "cancelled"), ("FAILED", "parent")])
def test_a_waiting_job_that_is_cancelled_while_its_parent_is_well_was_cancelled_by_hand(tmp_path, above, cause):
    """Slurm says the same of both; only what it waited for tells who ended it."""
    run = make_run(tmp_path, make_plan(step("up"), step("t", ["up"])))
    parent = submission(id="0a000009", task="up", elements=((0,),))
    child = submission(elements=((0,),), after=(parent.id,))
    rows = {
        (one.id, 0): (Row(job_id=job, state=state, label=Label(RUN, one.task, one.id), reason="Dependency"),)
        for one, job, state in ((parent, "6", above), (child, "7", "CANCELLED"))
    }
    _, state = states_of(run, [parent, child], [], Snapshot(rows), NOW)
    assert (state.state, state.cause) == ("cancelled", cause)


def test_a_job_that_slurm_cannot_start_again_has_failed(tmp_path):
    """It stays in the queue until somebody takes it out; where its shard is finished it is only in the way."""
    run = make_run(tmp_path, make_plan(step("t")))
    row = Row(job_id="7", state="PENDING", label=Label(RUN, "t", "0a000001"), reason=STUCK)
    (state,) = shard_states(
        run.plan,
        finished_by_task(run.plan, run.store),
        [submission(elements=((0,),))],
        [],
        Snapshot({("0a000001", 0): (row,)}),
    )
    assert (state.state, state.cause, row.is_live, row.is_stuck) == ("failed", "node_failed", False, True)


def test_the_latest_submission_of_a_shard_counts(tmp_path):
    """Two submissions share a task: each shard is with the one that had it last, unless that has no job."""
    run = make_run(tmp_path, make_plan(step("t", shards=2)))
    again = submission(id="0a000002", elements=((1,),), time=SUBMITTED + 10)
    never = submission(id="0a000003", elements=((0,),), time=SUBMITTED + 20)
    withdrawn = {"time": SUBMITTED + 21, "event": "withdrawn", "submission": "0a000003"}
    rows = {
        (one, 0): (Row(job_id=job, state=state, label=Label(RUN, "t", one)),)
        for one, job, state in (("0a000001", "7", "FAILED"), ("0a000002", "8", "PENDING"))
    }
    states = states_of(run, [submission(), again, never], [withdrawn], Snapshot(rows), NOW)
    assert [(state.state, state.submission, state.job_id) for state in states] == [
        ("failed", "0a000001", "7"),
        ("queued", "0a000002", "8"),
    ]


def test_since_when(tmp_path):
    """Since it was submitted where it waits, since it started where it runs."""
    run = make_run(tmp_path, make_plan(step("t")))
    for state, since in (("PENDING", 1.0), ("RUNNING", 2.0), ("FAILED", None)):
        row = Row(job_id="7", state=state, label=Label(RUN, "t", "0a000001"), submitted=1.0, started=2.0)
        found = first(run, [submission(elements=((0,),))], [], Snapshot({("0a000001", 0): (row,)}))
        assert found.since == since
