"""The ledger: written before sbatch, read by anybody, and honest about what it does not know."""

from __future__ import annotations

import attrs
import pytest

from compiler.errors import UserError
from compiler.profile import Container, Profile, Retry, Settings
from runtime.dispatch.slurm import ledger
from runtime.dispatch.slurm.kept_profile import read_profile, write_profile
from runtime.dispatch.slurm.ledger import Ledger, Submission, read_submission


def submission(number: int = 1, **changes) -> Submission:
    given = {
        "id": f"{number:08x}",
        "task": "data/clean",
        "task_class": "data",
        "plan": "/runs/plan.json",
        "store": "/store",
        "run_dir": "/runs",
        "elements": ((0, 1), (2,)),
        "after": ("0000000a",),
        "memory_mb": 200,
        "time": float(number),
    }
    return Submission(**{**given, **changes})


def test_a_submission_is_read_as_it_was_written(tmp_path):
    """Oldest first; the node reads one of them."""
    book = Ledger(tmp_path)
    late, early = submission(1, time=9.0), submission(2, time=3.0)
    for one in (late, early):
        book.open(one)
    assert book.submissions() == [early, late]
    assert read_submission(book.path(late.id)) == late
    assert late.shards == [0, 1, 2]


def test_a_driver_that_is_killed_before_sbatch_leaves_a_submission_without_a_job(tmp_path):
    """Between the two notes nothing is claimed: neither a job nor that there is none."""
    book = Ledger(tmp_path)
    book.open(submission(1))
    assert ledger.job_ids(book.journal.read()) == {}
    assert ledger.withdrawn(book.journal.read()) == set()
    book.submitted(submission(1), "77")
    book.open(submission(2))
    book.withdraw(submission(2), "refused")
    events = book.journal.read()
    assert ledger.job_ids(events) == {submission(1).id: "77"}
    assert ledger.withdrawn(events) == {submission(2).id}
    assert [event["event"] for event in events] == ["submitting", "submitted", "submitting", "withdrawn"]


def test_a_job_that_is_found_later_is_noted(tmp_path):
    """And that it was found, and not answered."""
    book = Ledger(tmp_path)
    book.submitted(submission(1), "78", found=True)
    assert ledger.job_ids(book.journal.read()) == {submission(1).id: "78"}
    assert book.journal.read()[0]["found"] is True


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "3", "null", '{"id": "x"}', "\udce4".encode("utf-8", "surrogateescape")]
)
def test_a_damaged_submission_is_one_message(tmp_path, text):
    """With the file's name."""
    path = tmp_path / "slurm" / "submissions" / "0a.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for read in (lambda: read_submission(path), Ledger(tmp_path).submissions):
        with pytest.raises(UserError, match="cannot be read") as caught:
            read()
        assert caught.value.where == str(path)


def test_an_empty_run_has_no_submissions(tmp_path):
    """And ids differ."""
    assert Ledger(tmp_path).submissions() == []
    assert len({ledger.new_id() for _ in range(100)}) == 100


def test_the_profile_is_kept_for_the_supervisor(tmp_path):
    """As it was, but a secret is only where it is found."""
    profile = Profile(
        name="lab",
        dispatch="slurm",
        environment={"TOKEN": "env:MY_TOKEN"},
        setup=("module load x",),
        sbatch={"nice": "3"},
        container=Container(kind="pyxis", image="img", mounts=("/a:/b",)),
        classes={"train": Settings(partition="gpu", minutes=600, container=Container())},
        retry=Retry(memory_growth=1.5, max_memory_mb=9000),
        supervise=False,
    )
    write_profile(tmp_path, profile)
    assert read_profile(tmp_path) == profile
    write_profile(tmp_path, attrs.evolve(profile, name="other"))
    assert read_profile(tmp_path).name == "other"


@pytest.mark.parametrize("text", [None, "", "7", '{"minutes": "x"}'])
def test_a_profile_that_cannot_be_read_is_one_message(tmp_path, text):
    """The supervisor says so in its log."""
    (tmp_path / "slurm").mkdir()
    if text is not None:
        (tmp_path / "slurm" / "profile.json").write_text(text)
    with pytest.raises(UserError, match="cannot be read"):
        read_profile(tmp_path)
