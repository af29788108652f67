"""What is remembered of a run's jobs while Slurm does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.dispatch.slurm.ledger import Ledger, Submission
from runtime.dispatch.slurm.recall import recall


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def submit(ledger: Ledger, name: str = "one", elements=((0, 1), (2,)), job: str | None = "17") -> None:
    here = str(ledger.run_dir)
    one = Submission(
        id=name, task="sign", task_class="data", plan=here, store=here, run_dir=here, elements=elements, time=1.0
    )
    ledger.open(one)
    if job:
        ledger.submitted(one, job)


def tell(ledger: Ledger, event: str, element: int, **more) -> None:
    ledger.journal.write(event, submission="one", element=element, task="sign", **more)


def remembered(ledger: Ledger) -> dict[int, tuple[str, str]]:
    rows = recall(ledger.submissions(), ledger.journal.read()).rows
    return {element: (row.job_id, row.state) for (_, element), (row,) in rows.items()}


def test_what_the_nodes_said_last_holds(ledger: Ledger) -> None:
    submit(ledger)
    assert remembered(ledger) == {0: ("17_0", "PENDING"), 1: ("17_1", "PENDING")}
    tell(ledger, "running", 0, job="18", host="n1", restart=0)
    assert remembered(ledger) == {0: ("17_0", "RUNNING"), 1: ("17_1", "PENDING")}
    tell(ledger, "requeue", 0, cause="preempted", shard=0, restart=0, progress=0)
    assert remembered(ledger)[0] == ("17_0", "PENDING")
    (row,) = recall(ledger.submissions(), ledger.journal.read()).rows["one", 0]
    assert row.restarts == 1


def test_a_job_is_over_when_all_of_its_shards_are(ledger: Ledger) -> None:
    submit(ledger)
    tell(ledger, "running", 0, job="18", host="n1", restart=0)
    tell(ledger, "shard_failed", 0, shard=0, cause="error", error="bad row")
    assert remembered(ledger)[0] == ("17_0", "RUNNING")
    ledger.journal.write("finished", task="sign", shard=1, seconds=1.0)
    assert set(remembered(ledger)) == {1}


def test_what_has_no_job_or_was_cancelled_is_left_out(ledger: Ledger) -> None:
    submit(ledger, "unsure", ((0,),), job=None)
    assert remembered(ledger) == {}
    submit(ledger, "alone", ((0,),), job="20")
    assert remembered(ledger) == {0: ("20", "PENDING")}
    ledger.withdraw(ledger.submissions()[0], "refused")
    assert remembered(ledger) == {}
    submit(ledger)
    ledger.journal.write("cancel")
    assert remembered(ledger) == {}
