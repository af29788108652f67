"""What the SLURM dispatcher asks for, and how it reads what comes back. No cluster is needed for these."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.profile import ClassLimits, Profile
from runtime.dispatch.base import Job
from runtime.dispatch.slurm import MAX_LABEL, SlurmDispatcher, importable, parameters, slug
from runtime.dispatch.slurm_queue import Label, Pace, Row, last_words, read_queue
from tests.slurm.entry import run_shard

JOB = Job(task_id="t", shards=(0, 1, 2), cpus=2, memory_mb=1500)


def dispatcher(tmp_path, profile: Profile | None = None, **options) -> SlurmDispatcher:
    def never(task: str, shard: int) -> bool:
        return False

    chosen = profile or Profile()
    return SlurmDispatcher(
        tmp_path / "plan.json", tmp_path, tmp_path, chosen, is_done=never, entry=run_shard, **options
    )


@given(st.lists(st.text(max_size=80), unique=True, max_size=6))
@settings(max_examples=60)
def test_names_are_safe_and_differ_where_texts_differ(texts):
    """Whatever a task is called, its name is one plain word of bounded length, and no other task's."""
    names = [slug(text) for text in texts]
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) and len(name) <= MAX_LABEL for name in names)
    assert len(set(names)) == len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/b", "a--b"), ("a b", "a-b"), ("a", "a."), ("", "-"), ("x" * 60, "x" * 61), ("ü", "ö")],
)
def test_texts_that_look_alike_get_different_names(one, other):
    """Cleaning a name must not make two tasks one."""
    assert slug(one) != slug(other)


def test_the_batch_script_says_what_the_job_needs(tmp_path):
    """The text that `sbatch` gets: an array with its throttle, the class's limits, the mark of the run."""
    limits = {"data": ClassLimits(partition="big", minutes=7, memory_mb=9000)}
    profile = Profile(partition="main", account="us", max_parallel_shards=2, classes=limits, sbatch={"exclusive": ""})
    lines = dispatcher(tmp_path, profile, tag="run").script(JOB).splitlines()
    wanted = "array=0-2%2 time=7 mem=9000M cpus-per-task=2 partition=big account=us job-name=t.run comment=run.t"
    asked = [*wanted.split(), "kill-on-invalid-dep=yes"]
    missing = [option for option in asked if f"#SBATCH --{option}" not in lines]
    assert missing == []
    assert "#SBATCH --exclusive" in lines
    assert "gpus" not in "".join(lines)


def test_a_batch_script_is_valid_shell(tmp_path):
    """Paths with blanks and quotes do not break out of it."""
    directory = tmp_path / 'it\'s a $(touch owned) "place"'
    directory.mkdir()
    script = dispatcher(directory).script(JOB)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    command = next(line for line in script.splitlines() if line.startswith("srun"))
    said = subprocess.run(
        ["bash", "-c", f"set -- {command}; printf '%s\\n' \"${{@: -1}}\""],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert said.stdout.strip() == str(directory / "logs" / "slurm" / "t")
    assert not (tmp_path / "owned").exists()


def test_a_short_job_is_not_signalled_at_its_start():
    """90 s before the end is before the beginning of a one-minute job."""
    label = Label("run", "t")
    short, long = (parameters(JOB, Profile(minutes=minutes), label)["signal_delay_s"] for minutes in (1, 600))
    assert (short, long) == (15, 90)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (Profile(name="p", sbatch={"job_name": "mine"}), "job-name are set by ocspec"),
        (Profile(name="p", sbatch={"--array": "0-3", "comment": "x"}), "array, comment are set by ocspec"),
        (Profile(name="p", partition="main\n#SBATCH --uid=0"), "line break"),
        (Profile(name="p", sbatch={"nice": "1\nrm"}), "line break"),
    ],
)
def test_a_profile_that_would_break_the_script_is_refused(profile, message):
    """Options that we need for ourselves, and values that would start a line of their own."""
    with pytest.raises(UserError, match=message) as caught:
        parameters(JOB, profile, Label("run", "t"))
    assert caught.value.where == "profile 'p'"


def test_a_log_path_that_slurm_would_rewrite_is_refused(tmp_path, monkeypatch):
    """A % in a path is a pattern to Slurm, and the logs would go somewhere else."""
    monkeypatch.setattr("runtime.dispatch.slurm.max_array_size", lambda: 1000)
    with pytest.raises(UserError, match="'%'"):
        dispatcher(tmp_path / "100%").submit([JOB])


@pytest.mark.parametrize(("shards", "program"), [((0, 1), "scontrol"), ((0,), "srun")])
def test_without_slurm_the_error_says_so(tmp_path, monkeypatch, shards, program):
    """No programs, no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=program):
        dispatcher(tmp_path).submit([Job(task_id="t", shards=shards)])


def test_only_what_a_node_can_import_is_sent():
    """Closures and lambdas would be pickled by value, and break between Python versions."""
    assert importable(run_shard) is run_shard

    def closure(plan: str, task: str, shard: int, store: str) -> None: ...

    for entry in (closure, lambda plan, task, shard, store: None):
        with pytest.raises(ValueError, match="cannot import"):
            importable(entry)


def test_the_same_run_has_the_same_mark_in_every_process(tmp_path):
    """Status and cancel find jobs that another process submitted; another directory has another mark."""
    one, again, other = (dispatcher(tmp_path / name).tag for name in ("a/run", "a/run", "b/run"))
    assert one == again != other
    assert "." not in dispatcher(tmp_path, tag="v1.5").tag  # the dot ends it in a job's name


def test_polling_slows_down_while_nothing_changes():
    """From half a second to half a minute, and back at the first news."""
    pace, delays = Pace(), [0.5]
    while delays[-1] < 30:
        delays.append(pace.after(delays[-1], news=False))
    assert delays == sorted(delays)
    assert 10 < len(delays) < 15
    assert pace.after(30.0, news=True) == 0.5


def test_an_id_alone_does_not_make_a_job_ours():
    """Name or comment must carry the label: some sites rewrite one of them."""
    label = Label("run7", "clean")
    rows = [
        Row("5", "RUNNING", name, comment, "")
        for name, comment in (("clean.run7", ""), ("x", "run7.clean"), ("clean.run8", "run7.sign"))
    ]
    assert [row.carries(label) for row in rows] == [True, True, False]
    assert [row.belongs_to("run7") for row in rows] == [True, True, True]
    strangers = [("clean.run77", "run.clean"), ("run7.x", "x.run7"), ("clean.my-run7", "my-run7.clean")]
    assert not any(Row("5", "RUNNING", *names, "").belongs_to("run7") for names in strangers)


def test_odd_rows_of_squeue_are_read_or_left_out(monkeypatch):
    """A reason may hold the separator; a line that is no job is not one."""
    text = "5_0|PENDING|a.r|r.a|(Nodes|down)\nslurm: something else\n6|RUNNING|b.r|(null)|None\n"
    monkeypatch.setattr("runtime.dispatch.slurm_queue.ask", lambda *command: text)
    assert read_queue() == [
        Row("5_0", "PENDING", "a.r", "r.a", "(Nodes|down)"),
        Row("6", "RUNNING", "b.r", "(null)", "None"),
    ]


def test_last_words_are_the_error_and_not_the_machinery(tmp_path):
    """A UserError is shown alone, anything else as the end of its traceback; a missing log is mentioned."""
    log = tmp_path / "log"
    frames = "submitit WARNING (x)\n" + "".join(f'  File "a.py", line {n}\n' for n in range(40))
    log.write_text(f"{frames}compiler.errors.UserError: 3 rows\n  fix: them\nsrun: error: n1: task 0: Exited\n")
    assert last_words(log) == "3 rows\n  fix: them"
    log.write_text(f"{frames}ValueError: 7\nslurmstepd: error: x\n")
    assert last_words(log).splitlines()[-1] == "ValueError: 7"
    assert len(last_words(log).splitlines()) == 12
    assert last_words(tmp_path / "none") == "it wrote no log"
