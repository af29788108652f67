"""ocspec logs with its options, and ocspec cancel, of runs on this machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from ocspec.cli import tail
from ocspec.cli.log_following import Following
from ocspec.cli.tail import Tail
from runtime.dispatch.slurm.ledger import Ledger
from runtime.journal import Journal
from runtime.store import Store
from runtime.worker import run_shard
from tests.slurm.graph import make_plan, step

from .conftest import environment
from .test_dispatchers import submitted

JOURNAL = Journal(Path("build/tiny/journal"))
FOLDER = Path("build/tiny/logs/code--sign")
HERE = {"host": platform.node(), "pid": os.getpid()}


def begin(*shards: int) -> None:
    """A local run of this process, and shards that it runs."""
    JOURNAL.write("run", tasks=14, missing=14, **HERE)
    FOLDER.mkdir(parents=True)
    for shard in shards:
        JOURNAL.write("started", task="code/sign", shard=shard, **HERE)


def test_lines_of_several_logs_do_not_mix(tmp_path: Path, capsys) -> None:
    log = Tail(tmp_path / "a", "[1] {}".format)
    assert not log.print_new()
    log.path.write_bytes(b"one\ntw\xc3")
    assert log.print_new()
    assert capsys.readouterr().out == "[1] one\n"
    with log.path.open("ab") as file:
        file.write(b"\xbc\nend")
    log.finish()
    assert capsys.readouterr().out == "[1] tw\xfc\n[1] end\n"


def test_a_log_that_begins_anew_is_read_from_its_start(tmp_path: Path, capsys) -> None:
    log = Tail(tmp_path / "a")
    log.path.write_text("a long first attempt\n")
    log.finish()
    log.path.write_text("again\n")
    log.finish()
    assert capsys.readouterr().out == "a long first attempt\nagain\n"


@pytest.mark.parametrize("show", [None, "[1] {}".format])
def test_a_line_that_was_cut_short_does_not_stick_to_the_new_text(tmp_path: Path, capsys, show) -> None:
    """Neither the line nor a half character."""
    log = Tail(tmp_path / "a", show)
    log.path.write_bytes(b"a long first attempt, and \xc3")
    log.print_new()
    log.path.write_text("again\n")
    log.finish()
    first, second = map(show or str, ("a long first attempt, and ", "again"))
    assert capsys.readouterr().out == f"{first}\n{second}\n"


def test_a_log_of_several_shards_is_marked_with_all_of_them(tmp_path: Path, capsys) -> None:
    """Packed into jobs, and one of them again alone; where only one log is followed there is no mark."""
    plan, store = make_plan(step("a", shards=5)), Store(tmp_path / "store")
    ledger = Ledger(tmp_path)
    following = Following(plan, plan.task("a"), tmp_path / "plan.json", store, range(5), on_slurm=True)

    def marks() -> dict[str, str]:
        return {log.name: show("x") for log, show in following.logs().items() if show}

    submitted(ledger, "one", ((0, 1, 2, 3, 4),), "16")
    assert marks() == {"16_0_log.out": "x"}
    submitted(ledger, "two", ((0, 1, 2), (4, 3)), "17")
    assert marks() == {"17_0_0_log.out": "[1-3] x", "17_1_0_log.out": "[4-5] x"}
    submitted(ledger, "three", ((1, 4),), "18")
    assert marks() == {"17_0_0_log.out": "[1-3] x", "17_1_0_log.out": "[4-5] x", "18_0_log.out": "[2,5] x"}


def test_logs_as_json_are_an_object_for_each_line(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec), "--shards", "2")
    begin()
    (FOLDER / "0.log").write_bytes(b"one\r\n\xff \x1b[2J\n\n")
    (FOLDER / "1.log").write_text("without an end")
    result = ocspec("logs", "code/sign", "--json")
    head = {"format_version": 1, "kind": "log", "task": "code/sign"}
    first, second = ({**head, "shards": [n], "log": f"{FOLDER}/{n}.log"} for n in (0, 1))
    lines = [{**first, "line": text} for text in ("one\r", "\ufffd \x1b[2J", "")]
    assert [json.loads(line) for line in result.out.splitlines()] == [*lines, {**second, "line": "without an end"}]
    assert (result.code, result.err) == (0, "")
    paths = json.loads(ocspec("logs", "code/sign", "--paths", "--json").out)
    assert paths == {
        "format_version": 1,
        "kind": "logs",
        "task": "code/sign",
        "paths": [f"{FOLDER}/{n}.log" for n in (0, 1)],
    }


def test_logs_are_followed_as_json(ocspec, spec: Path, monkeypatch) -> None:
    """Of one shard, too, whose text is else printed as it comes."""
    monkeypatch.setattr(tail, "POLL_S", 0.01)
    ocspec("compile", str(spec), "--shards", "2")
    begin()
    for shard in (0, 1):
        (FOLDER / f"{shard}.log").write_text(f"first\nsaid {shard}")
        JOURNAL.write("failed", task="code/sign", shard=shard, error="bad row")
    for options, shards in (((), (0, 1)), (("--shard", "2"), (1,))):
        result = ocspec("logs", "code/sign", "--follow", "--json", *options)
        assert result.code == 1
        said = [json.loads(line) for line in result.out.splitlines()]
        assert {tuple(one) for one in said} == {("format_version", "kind", "task", "shards", "log", "line")}
        found = sorted((*one["shards"], one["log"], one["line"]) for one in said)
        assert found == [(n, f"{FOLDER}/{n}.log", text) for n in shards for text in ("first", f"said {n}")]


def test_following_prints_what_comes_and_ends_with_the_task(ocspec, spec: Path, monkeypatch) -> None:
    monkeypatch.setattr(tail, "POLL_S", 0.05)
    monkeypatch.setattr(tail, "LONGEST_PAUSE_S", 0.1)
    ocspec("compile", str(spec))
    begin(0)
    log = FOLDER / "0.log"
    log.write_text("first\n")

    def work() -> None:
        time.sleep(0.3)
        with log.open("a") as file:
            file.write("last\n")
        run_shard("build/tiny/plan.json", "code/sign", 0, str(Path(".ocspec").resolve()))

    worker = threading.Thread(target=work)
    worker.start()
    result = ocspec("logs", "code/sign", "--follow")
    worker.join()
    assert result == (0, "first\nlast\n", "")


def test_following_a_task_that_failed_ends_with_1(ocspec, spec: Path, monkeypatch) -> None:
    monkeypatch.setattr(tail, "POLL_S", 0.01)
    ocspec("compile", str(spec), "--shards", "2")
    begin()
    for shard in (0, 1):
        (FOLDER / f"{shard}.log").write_text(f"said {shard}")
        JOURNAL.write("failed", task="code/sign", shard=shard, error="bad row")
    result = ocspec("logs", "code/sign", "--follow")
    assert (result.code, sorted(result.out.splitlines())) == (1, ["[1] said 0", "[2] said 1"])
    assert "2 of 2 shards of code/sign have not finished" in result.err
    one = ocspec("logs", "code/sign", "--follow", "--shard", "2")
    assert (one.code, one.out) == (1, "said 1")


def test_a_task_that_its_driver_did_not_reach_is_not_waited_for(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    JOURNAL.write("run", tasks=14, missing=14, host=platform.node(), pid=2**22 + 1)
    assert ocspec("logs", "code/sign", "--follow").code == 1


def test_ctrl_c_ends_the_following_of_a_task_that_has_no_log_yet(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    command = [sys.executable, "-m", "ocspec.cli", "logs", "code/sign", "--follow"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "code/sign is missing; waiting for its log\n"
        process.send_signal(2)
        assert process.wait(60) == 130
        assert "Traceback" not in process.stderr.read()


def test_one_shards_logs_are_printed_alone(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec), "--shards", "2")
    begin()
    for shard in (0, 1):
        (FOLDER / f"{shard}.log").write_text(f"said {shard}\n")
    assert ocspec("logs", "code/sign", "--shard", "2") == (0, "said 1\n", "")
    refused = ocspec("logs", "code/sign", "--shard", "3")
    assert refused.code == 1
    assert "has 2 shards, so none is number 3" in refused.err


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_cancelling_a_run_that_is_not_on_slurm_says_how_it_ends(ocspec, spec: Path, options) -> None:
    ocspec("compile", str(spec))
    result = ocspec("cancel", *options)
    assert result.code == 0
    assert "ends with Ctrl-C where it was started" in result.err
    if options:
        assert json.loads(result.out)["jobs"] == 0
    else:
        assert result.out == "tiny: no job is queued or running\n"


def test_a_dry_run_here_starts_nothing(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    result = ocspec("submit", "--dry-run")
    assert result.code == 0
    assert result.out.endswith("tiny: 14 of 14 tasks to run on this machine; nothing is started\n")
    assert len(json.loads(ocspec("submit", "--dry-run", "--json").out)["tasks"]) == 14
    assert not JOURNAL.directory.exists()
