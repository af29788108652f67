"""The journal: many writers, one file per machine, and a torn line costs no other."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import journal
from runtime.journal import Journal, file_name
from tests.runtime.children import children, exit_codes

WRITERS, EVENTS = 8, 200


def _write(directory: Path, writer: int) -> None:
    for number in range(EVENTS):
        Journal(directory).write("tick", writer=writer, number=number, text="x" * (number * 7 % 5000))


def test_eight_processes_lose_no_event(tmp_path: Path) -> None:
    """All in one file, each whole, those of one process in their order."""
    with children(_write, *[(tmp_path, writer) for writer in range(WRITERS)]) as processes:
        assert exit_codes(processes, 60) == [0] * WRITERS
    assert len(list(tmp_path.iterdir())) == 1
    events = Journal(tmp_path).read()
    for writer in range(WRITERS):
        assert [e["number"] for e in events if e["writer"] == writer] == list(range(EVENTS))


@pytest.mark.parametrize("torn", [b'{"time": 1, "ev', b"\xff\xfe", b"\0\0\0", b'{"time": 1, "event": "e"}', b"\n"])
def test_what_follows_a_torn_line_is_whole(tmp_path: Path, torn: bytes) -> None:
    """The next event begins a line of its own."""
    log = Journal(tmp_path)
    log.write("one")
    with next(tmp_path.iterdir()).open("ab") as file:
        file.write(torn)
    log.write("two")
    assert [event["event"] for event in log.read() if event["event"] != "e"] == ["one", "two"]


def _fill(directory: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
    try:
        Journal(directory).write("large", text="x" * 1000)
    except OSError:
        os._exit(9)


def test_a_full_disk_tears_one_line_and_says_so(tmp_path: Path) -> None:
    """A limit of the file size stands for it: a part is written, the writer gets the error, the next event is whole."""
    log = Journal(tmp_path)
    log.write("before")
    with children(_fill, (tmp_path,)) as processes:
        assert exit_codes(processes) == [9]
    assert next(tmp_path.iterdir()).stat().st_size == 300
    log.write("after")
    assert [event["event"] for event in log.read()] == ["before", "after"]


def test_journals_of_several_machines_are_read_in_order_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine has its file, also files of older versions are read, and lines that are no events are not."""
    log, clock = Journal(tmp_path), iter((1000.001, 1000.002, 1000.003))
    monkeypatch.setattr(journal.time, "time", lambda: next(clock))  # the machine's own may write all three at one time
    for node in ("n2", "n1", "n2"):
        monkeypatch.setattr(journal.platform, "node", lambda node=node: node)
        log.write("on", node=node)
    lines = [json.dumps({"time": 1.0, "event": "old"}), "[]", "3", '{"time": "noon", "event": "e"}', '{"event": "e"}']
    (tmp_path / "host-17.jsonl").write_text("\n".join(lines))
    assert len(list(tmp_path.iterdir())) == 3
    assert [event.get("node", event["event"]) for event in log.read()] == ["old", "n2", "n1", "n2"]


def test_events_of_one_time_stay_in_the_order_they_were_written_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one machine's file: a thousandth of a second holds many."""
    monkeypatch.setattr(journal.time, "time", lambda: 1000.0)
    for number in (3, 1, 2):
        Journal(tmp_path).write("on", number=number)
    assert [event["number"] for event in Journal(tmp_path).read()] == [3, 1, 2]


@given(st.text(max_size=200))
def test_any_name_of_a_machine_makes_a_file_name(node: str) -> None:
    """In one directory, short enough, and two machines have two."""
    name = file_name(node)
    assert "/" not in name and "\0" not in name and len(name.encode()) < 100 and name.endswith(".jsonl")
    assert file_name(node + "x") != name
