"""What a submit queues: for random graphs and histories nothing is lost, queued twice, or queued below a failure."""

from __future__ import annotations

from collections import defaultdict
from typing import get_args

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.plan import Plan, Task, TaskClass
from compiler.profile import Retry
from runtime.dispatch.slurm.choice import Choice, choose
from runtime.dispatch.slurm.ledger import Submission
from runtime.dispatch.slurm.retry import COUNTED, PARENT, Cause, Retries
from runtime.dispatch.slurm.states import LIVE, ShardState
from tests.slurm.graph import make_plan, step

NONE = Retries({})
ENDS = ("finished", "failed", "cancelled", "missing")
OWN_CAUSES = tuple(cause for cause in get_args(Cause) if cause != "parent")
Key = tuple[str, int]


@attrs.define
class History:
    """A run as Slurm, the nodes and earlier submits left it."""

    plan: Plan
    submissions: list[Submission] = attrs.field(factory=list)
    states: dict[Key, ShardState] = attrs.field(factory=dict)

    def choose(self, *, only_retries: bool = False, retries: Retries = NONE, policy: Retry | None = None) -> Choice:
        states, policy = list(self.states.values()), policy or Retry()
        return choose(self.plan, states, self.submissions, retries, policy, only_retries=only_retries)

    def queue(self, choice: Choice) -> None:
        """Submit what was chosen, as the submitter does, an array of at most two elements at a time."""
        live = {task: dict(found) for task, found in choice.live.items()}
        for part in choice.parts:
            parents = {one: holds for up in part.task.upstream for one, holds in live.get(up, {}).items()}
            for start in range(0, len(part.shards), 2):
                one = Submission(
                    id=f"{len(self.submissions):08x}",
                    task=part.task.id,
                    task_class="data",
                    plan="",
                    store="",
                    run_dir="",
                    elements=tuple((shard,) for shard in part.shards[start : start + 2]),
                    after=tuple(parent for parent, holds in parents.items() if holds),
                    after_any=tuple(parent for parent, holds in parents.items() if not holds),
                    memory_mb=part.memory_mb or part.task.resources.memory_mb,
                    raised=part.memory_mb is not None,
                    time=float(len(self.submissions)),
                )
                self.submissions.append(one)
                live.setdefault(part.task.id, {})[one.id] = True
                for shard in one.shards:
                    self.states[one.task, shard] = ShardState(
                        task_id=one.task, shard=shard, state="queued", submission=one.id
                    )

    def unfinished(self, task: Task) -> list[ShardState]:
        states = (self.states[task.id, shard] for shard in range(task.shards))
        return [state for state in states if state.state != "finished"]


@st.composite
def histories(draw) -> History:
    """Graphs of up to five tasks; some submits, between which shards end, run, are lost or stay."""
    tasks: list[Task] = []
    for number in range(draw(st.integers(1, 5))):
        above = draw(st.lists(st.sampled_from(tasks), unique_by=lambda task: task.id, max_size=2)) if tasks else []
        tasks.append(step(f"t{number}", [task.id for task in above], draw(st.integers(1, 4))))
    history = History(make_plan(*tasks))
    for task in history.plan.tasks:
        for shard in range(task.shards):
            history.states[task.id, shard] = ShardState(task_id=task.id, shard=shard, state="missing")
    for _ in range(draw(st.integers(0, 3))):
        history.queue(history.choose(only_retries=draw(st.booleans())))
        _pass_time(history, draw)
    return history


def _pass_time(history: History, draw) -> None:
    for task in history.plan.tasks:
        ready = all(not history.unfinished(history.plan.task(up)) for up in task.upstream)
        for shard in range(task.shards):
            state = history.states[task.id, shard]
            if state.is_live:
                wanted = (
                    ["queued", "running", "preempted", "completing", *ENDS[:3]] if ready else ["queued", "cancelled"]
                )
                new = draw(st.sampled_from(wanted))
                cause = None
                if new in {"failed", "cancelled"}:
                    cause = draw(st.sampled_from(OWN_CAUSES)) if ready else "parent"
                history.states[task.id, shard] = attrs.evolve(state, state=new, cause=cause)


def by_shard(choice: Choice) -> list[Key]:
    return [(part.task.id, shard) for part in choice.parts for shard in part.shards]


@given(histories())
@settings(max_examples=300, deadline=None)
def test_a_persons_submit_takes_all_that_is_missing(history):
    """Every unfinished shard is in one part, or lives in a submission that is not doomed; nothing is blocked."""
    choice = history.choose()
    queued = by_shard(choice)
    assert len(queued) == len(set(queued))
    for key, state in history.states.items():
        is_held = state.is_live and state.submission not in choice.doomed
        assert (key in queued) == (state.state != "finished" and not is_held)
    assert choice.blocked == ()


@given(histories())
@settings(max_examples=300, deadline=None)
def test_retries_leave_errors_and_all_that_is_below_them(history):
    """Only causes that the policy tries again; no task is queued below a shard that is left."""
    choice = history.choose(only_retries=True)
    queued = set(by_shard(choice))
    causes = {key: state.cause for key, state in history.states.items()}
    assert {causes[key] for key in queued} <= {*COUNTED, "parent", None}
    left = {
        key[0]
        for key, state in history.states.items()
        if state.state != "finished"
        and key not in queued
        and not (state.is_live and state.submission not in choice.doomed)
    }
    below: set[str] = set()
    for task in history.plan.tasks:
        if (left | below).intersection(task.upstream):
            below.add(task.id)
    assert set(choice.blocked) == below
    assert not {task for task, _ in queued} & below


@given(histories(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_nothing_finished_is_queued_and_parents_come_first(history, only_retries):
    """And a part waits for every shard above it that is not finished: in the queue, or in a part before it."""
    choice = history.choose(only_retries=only_retries)
    order = [task.id for task in history.plan.tasks]
    places = [order.index(part.task.id) for part in choice.parts]
    assert places == sorted(places)
    assert all(part.shards for part in choice.parts)
    before: set[Key] = set()
    for part in choice.parts:
        for up in part.task.upstream:
            for state in history.unfinished(history.plan.task(up)):
                assert (up, state.shard) in before or state.submission in choice.live[up]
        before |= {(part.task.id, shard) for shard in part.shards}
    assert not [key for key in before if history.states[key].state == "finished"]


@given(histories(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_doomed_are_the_waiting_jobs_that_wait_for_the_wrong_ones(history, only_retries):
    """Those that must end well have lost a shard, or one above is with a job that they do not wait for."""
    choice = history.choose(only_retries=only_retries)
    by_id = {one.id: one for one in history.submissions}
    doomed: set[str] = set()

    def holds(one: Submission) -> bool:
        mine = [history.states[one.task, shard] for shard in one.shards]
        return one.id not in doomed and all(
            state.submission == one.id and (state.state == "finished" or state.is_live) for state in mine
        )

    for task in history.plan.tasks:
        for one in (one for one in history.submissions if one.task == task.id):
            mine = [history.states[one.task, shard] for shard in one.shards]
            if not any(state.submission == one.id and state.state == "queued" for state in mine):
                continue
            above = [state for up in task.upstream for state in history.unfinished(history.plan.task(up))]
            is_covered = all(
                state.is_live and state.submission in {*one.after, *one.after_any} - doomed for state in above
            )
            if not is_covered or not all(holds(by_id[parent]) for parent in one.after):
                doomed.add(one.id)
    assert set(choice.doomed) == doomed
    for found in choice.live.values():
        assert not set(found) & doomed
        assert found == {one: holds(by_id[one]) for one in found}


@given(histories())
@settings(max_examples=100, deadline=None)
def test_a_second_submit_has_nothing_to_do(history):
    """What the first one queued is enough."""
    history.queue(history.choose())
    again = history.choose()
    assert (again.parts, again.doomed, again.blocked) == ((), (), ())


def failed(cause: Cause, task_class: TaskClass = "train", **submission) -> History:
    """A run of one shard that failed for a cause, with a child."""
    history = History(make_plan(step("t", task_class=task_class), step("below", ["t"])))
    for task in ("t", "below"):
        history.states[task, 0] = ShardState(task_id=task, shard=0, state="missing")
    history.queue(history.choose())
    history.submissions[0] = attrs.evolve(history.submissions[0], **submission)
    history.states["t", 0] = attrs.evolve(history.states["t", 0], state="failed", cause=cause)
    return history


@pytest.mark.parametrize("cause", get_args(Cause))
def test_each_cause_is_tried_again_as_often_as_the_policy_says(cause):
    """And an error never; a person's submit always."""
    policy = Retry(preempted=2, node_failed=2, timeout=2, out_of_memory=2, lost=2)
    history = failed(cause, memory_mb=200)
    for before in range(4):
        retries = Retries({("t", 0, cause): before, ("t", 0, "other"): 9, ("t", 1, cause): 9})
        parts = history.choose(only_retries=True, retries=retries, policy=policy).parts
        is_taken = before < PARENT if cause == "parent" else (cause in COUNTED and before < 2)
        assert [part.task.id for part in parts] == (["t", "below"] if is_taken else [])
        assert len(history.choose(retries=retries, policy=policy).parts) == 2


def test_a_data_shard_that_ran_out_of_time_has_one_more_chance():
    """It begins anew and has no more time than before; training goes on from where it was."""
    for task_class, tries in (("data", 1), ("train", 5)):
        history = failed("timeout", task_class)
        taken = [
            bool(history.choose(only_retries=True, retries=Retries({("t", 0, "timeout"): before})).parts)
            for before in range(5)
        ]
        assert sum(taken) == tries


def test_memory_grows_up_to_the_cap_and_then_it_stops():
    """Only after running out of it; other causes keep what was asked for last."""
    policy = Retry(memory_growth=2.0, max_memory_mb=700)
    asked = []
    history = failed("out_of_memory", memory_mb=200)
    for _ in range(5):
        parts = history.choose(only_retries=True, policy=policy).parts
        if not parts:
            break
        asked.append(parts[0].memory_mb)
        assert parts[0].causes == {0: "out_of_memory"}
        assert parts[1].memory_mb is None
        history.queue(history.choose(only_retries=True, policy=policy))
        history.states["t", 0] = attrs.evolve(history.states["t", 0], state="failed", cause="out_of_memory")
    assert asked == [400, 700]
    history.states["t", 0] = attrs.evolve(history.states["t", 0], cause="preempted")
    assert history.choose(only_retries=True, policy=policy).parts[0].memory_mb == 700


def test_a_person_who_submits_at_the_cap_gets_what_there_was_last():
    """Not the plan's figure again, with which it failed first."""
    policy = Retry(memory_growth=2.0, max_memory_mb=700)
    history = failed("out_of_memory", memory_mb=700)
    assert history.choose(only_retries=False, policy=policy).parts[0].memory_mb == 700
    assert history.choose(only_retries=True, policy=policy).parts == ()


def test_shards_of_different_memory_are_queued_apart():
    """One of an array ran out of it: the others are not given more than they need."""
    history = History(make_plan(step("t", shards=4)))
    for shard in range(4):
        history.states["t", shard] = ShardState(task_id="t", shard=shard, state="missing")
    history.queue(history.choose())
    causes = ("out_of_memory", "preempted", "lost", "out_of_memory")
    for shard, cause in enumerate(causes):
        history.states["t", shard] = attrs.evolve(history.states["t", shard], state="failed", cause=cause)
    parts = history.choose(only_retries=True).parts
    found = defaultdict(list)
    for part in parts:
        found[part.memory_mb] += part.shards
    assert found == {400: [0, 3], None: [1, 2]}
    assert {key: cause for part in parts for key, cause in part.causes.items()} == dict(enumerate(causes))


def test_a_shard_that_another_job_finished_does_not_mend_the_array_that_lost_it():
    """Slurm says of that array that it failed: what must run after it would never run."""
    history = History(make_plan(step("up", shards=2), step("below", ["up"])))
    for task in history.plan.tasks:
        for shard in range(task.shards):
            history.states[task.id, shard] = ShardState(task_id=task.id, shard=shard, state="missing")
    history.queue(history.choose())
    first, below = history.submissions
    history.states["up", 0] = attrs.evolve(history.states["up", 0], state="failed", cause="lost")
    history.states["up", 1] = attrs.evolve(history.states["up", 1], state="running")
    choice = history.choose()
    assert choice.doomed == (below.id,)
    history.queue(choice)
    history.states["up", 0] = attrs.evolve(history.states["up", 0], state="finished")
    assert history.choose().live["up"] == {first.id: False}
    waiting = history.submissions[-1]
    assert (waiting.after, waiting.after_any) == ((history.submissions[2].id,), (first.id,))
    assert history.choose().doomed == ()


def test_what_waits_for_a_finished_job_that_never_ends_is_queued_anew():
    """Slurm lost its end and holds it back: its shard is there, and its child would wait for ever."""
    history = History(make_plan(step("t"), step("below", ["t"])))
    for task in ("t", "below"):
        history.states[task, 0] = ShardState(task_id=task, shard=0, state="missing")
    history.queue(history.choose())
    history.states["t", 0] = attrs.evolve(history.states["t", 0], state="finished")
    assert history.choose().parts == ()
    dead = {history.states["t", 0].submission}
    choice = choose(
        history.plan, history.states.values(), history.submissions, NONE, Retry(), only_retries=True, dead=dead
    )
    assert by_shard(choice) == [("below", 0)]
    assert choice.doomed == (history.states["below", 0].submission,)


def test_every_living_state_is_left_alone():
    """Whatever Slurm calls it."""
    for live in sorted(LIVE):
        history = failed("error")
        history.states["t", 0] = attrs.evolve(history.states["t", 0], state=live, cause=None)
        assert history.choose().parts == ()
