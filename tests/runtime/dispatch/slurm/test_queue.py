"""What squeue and sacct print, read. The fixtures are what Slurm 22.05.8 printed of jobs that were made for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.dispatch.slurm import queue
from runtime.dispatch.slurm.client import QueueUnavailable
from runtime.dispatch.slurm.labels import Label
from runtime.dispatch.slurm.queue import SQUEUE, Row, Snapshot, exit_of, look

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures" / "slurm"
RUN = "main-1a2b3c4d"


@pytest.fixture
def slurm(monkeypatch) -> dict:
    """Answers by program; an exception is raised. `calls` are those that were made."""
    answers: dict = {"squeue": (FIXTURES / "squeue.txt").read_text(), "sacct": (FIXTURES / "sacct.txt").read_text()}
    answers["calls"] = []

    def ask(program: str, *options: str) -> str:
        answers["calls"].append((program, *options))
        if isinstance(answers[program], Exception):
            raise answers[program]
        return answers[program]

    monkeypatch.setattr(queue, "ask", ask)
    return answers


def line(**fields: str) -> str:
    """A line of squeue."""
    return "".join(f"{fields.get(name, ''):{width}.{width}}" for name, width in SQUEUE.items()) + "\n"


SHOWN = """\
5    depkilled   CANCELLED            DependencyNeverSatisfied  0:0   0
9    cancelled   CANCELLED  n2        -                         0:15  0
1_0  data--sign  COMPLETED  n1        -                         0:0   0
10   done        COMPLETED  n2        -                         0:0   0
1_2  data--sign  FAILED     n1        NonZeroExitCode           14:0  0
1_1  data--sign  FAILED     n2        NonZeroExitCode           7:0   0
8    killed      FAILED     n2        JobLaunchFailure          0:9   0
2_0  data--clean PENDING              BeginTime                 0:0   0
2_1  data--clean PENDING              BeginTime                 0:0   0
2_2  data--clean PENDING              BeginTime                 0:0   0
4    dep         PENDING              DependencyNeverSatisfied  0:0   0
6    requeued    PENDING              BeginTime                 0:0   1
3    run         RUNNING    n2        -                         0:0   0
"""


def test_squeue(slurm):
    """Arrays with pending elements, running, failed, killed, cancelled, requeued jobs; one of a stranger."""
    rows = queue.read_queue()
    ours = [row for row in rows if row.label]
    shown = [
        [row.job_id, row.label.task, row.state, row.node, row.reason or "-", row.exit, str(row.restarts)]
        for row in ours
        if row.label
    ]
    assert [[field for field in fields if field] for fields in shown] == [text.split() for text in SHOWN.splitlines()]
    assert {row.label.run for row in ours if row.label} == {RUN}
    assert len(rows) == len(ours) + 1
    assert {row.job_id for row in rows if row.is_live} == {"2_0", "2_1", "2_2", "3", "6", "7"}


def test_times_of_squeue(slurm):
    """A job that waits has not started, whatever Slurm foresees; one that lives has not ended."""
    rows = {row.job_id: row for row in queue.read_queue()}
    done, failed, waits, runs = rows["10"], rows["1_2"], rows["2_0"], rows["3"]
    assert (done.started is not None, done.ended is not None) == (True, True)
    assert failed.submitted <= failed.started <= failed.ended
    assert (waits.started, waits.ended) == (None, None)
    assert waits.submitted == runs.submitted is not None
    assert runs.started - runs.submitted == 3
    assert runs.ended is None


ACCOUNTED = """\
3   run         RUNNING    n2  0:0
4   dep         PENDING        0:0
5   depkilled   CANCELLED      0:0
8   killed      FAILED     n2  0:9
9   cancelled   CANCELLED  n2  0:0
10  done        COMPLETED  n2  0:0
1_0 data--sign  COMPLETED  n1  0:0
1_1 data--sign  FAILED     n2  7:0
1_2 data--sign  FAILED     n1  14:0
6   requeued    RUNNING    n2  0:0
"""


def test_sacct(slurm):
    """Of a stranger's name that holds the separator nothing is believed; elements that wait as one row are no job."""
    rows = [row for row in queue.read_accounting(["1", "2"]) if row.label]
    shown = [[row.job_id, row.label.task, row.state, row.node, row.exit] for row in rows if row.label]
    assert [[field for field in fields if field] for fields in shown] == [
        text.split() for text in ACCOUNTED.splitlines()
    ]
    assert {row.job_id: row.reason for row in rows}["5"] == "Dependency"
    ended = {row.job_id: row.ended for row in rows}
    assert ended["3"] is None
    assert ended["10"] is not None


def test_odd_lines_are_read_or_left_out(slurm):
    """Headings of other clusters, empty lines, times and numbers that are none."""
    name = "t.r.0a000001"
    slurm["squeue"] = (
        "CLUSTER: other\n\nslurm_load_jobs error: something\n"
        + line(jobarrayid="5_[0-3%2]", state="PENDING", name=name)
        + line(jobarrayid="5_0", state="PENDING", name=name, reason="(Nodes|down, drained)", submittime="N/A")
        + line(jobarrayid="6", state="COMPLETING", name="x", comment=name, restartcnt="N/A", exit_code="7:0")
        + "7 RUNNING\n"
    )
    first, second = queue.read_queue()
    assert (first.label, first.element, first.reason, first.submitted) == (
        *(Label("r", "t", "0a000001"), 0),
        *("(Nodes|down, drained)", None),
    )
    assert (second.label, second.restarts, second.exit, second.is_live) == (first.label, 0, "7:0", True)
    slurm["sacct"] = "\nsacct: error\n5|COMPLETED|x|0:0\n"
    assert queue.read_accounting(["5"]) == []


def test_an_element_has_a_row_and_a_living_one_goes_first(slurm):
    """Where sbatch was answered late there are two jobs of one submission."""
    ended = line(jobarrayid="5_1", state="CANCELLED", name="t.r.0a000001")
    slurm["squeue"] = ended + line(jobarrayid="6_1", state="RUNNING", name="t.r.0a000001") + ended.replace("5", "7", 1)
    found = look("r", {})
    row = found.row("0a000001", 1)
    assert row is not None
    assert row.job_id == "6_1"
    assert [row.job_id for row in found.live] == ["6_1"]
    assert found.row("0a000001", 0) is None
    assert look("other", {}).rows == {}


def test_sacct_is_asked_once_and_only_about_what_squeue_has_forgotten(slurm):
    """Which it may not have either."""
    jobs = {"0a000001": "1", "0a000003": "3", "0b000001": "77", "0b000002": "78"}
    look(RUN, jobs, [("0a000001", 0), ("0a000001", 2), ("0a000003", 0), ("0c000001", 0)])
    assert [call[0] for call in slurm["calls"]] == ["squeue"]
    slurm["calls"].clear()
    look(RUN, jobs, [("0b000001", 0), ("0b000001", 1), ("0b000002", 0), ("0a000001", 0)])
    assert [call[0] for call in slurm["calls"]] == ["squeue", "sacct"]
    assert "--jobs=77,78" in slurm["calls"][1]


def test_the_elements_of_an_array_are_forgotten_one_by_one(slurm):
    """Of one that squeue shows in part sacct tells the rest, and squeue goes first."""
    slurm["squeue"] = line(jobarrayid="1_0", state="RUNNING", name=f"data--sign.{RUN}.0a000001")
    found = look(RUN, {"0a000001": "1"}, [("0a000001", 0), ("0a000001", 1)])
    states = [row.state for element in (0, 1) if (row := found.row("0a000001", element))]
    assert states == ["RUNNING", "FAILED"]


def test_a_job_that_the_controller_does_not_know_does_not_live(slurm):
    """sacct has its beginning still: a controller that was killed never told the end."""
    slurm["squeue"] = ""
    found = look(RUN, {"0a000003": "3", "0a000001": "1"}, [("0a000003", 0), ("0a000001", 1)])
    assert found.live == []
    assert found.row("0a000003", 0) is None
    assert found.row("0a000001", 1) is not None


def test_without_accounting_less_is_known(slurm):
    """A cluster may have none; a controller it must have."""
    slurm["sacct"] = QueueUnavailable("Slurm accounting storage is disabled")
    found = look(RUN, {"0b000001": "77"}, [("0b000001", 0)])
    assert not found.accounting
    assert found.row("0a000001", 1) is not None
    slurm["squeue"] = QueueUnavailable("Unable to contact slurm controller")
    with pytest.raises(QueueUnavailable):
        look(RUN, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [("7:0", "exit code 7"), ("0:9", "signal 9"), ("1:15", "exit code 1, signal 15"), ("0:0", ""), ("", "")],
)
def test_exit_codes_in_words(text, words):
    """As sacct prints them."""
    assert exit_of(Row(job_id="1", state="FAILED", label=None, exit=text)) == words


def test_the_array_and_its_submission(slurm):
    """Of each submission the id that scancel and dependencies take."""
    arrays = look(RUN, {}).arrays()
    assert (arrays["0a000001"], arrays["0a000002"], arrays["0a000003"]) == ("1", "2", "3")
    assert Snapshot().arrays() == {}
