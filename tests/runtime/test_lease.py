"""Leases: one holder at a time, whoever dies, sleeps or comes late; and nobody waits longer than it must."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from runtime.holder import Holder
from runtime.lease import EXIT_LEASE_LOST, Lease, LeaseHeld, LeaseLost
from tests.runtime.children import PATIENCE_S, children, exit_codes, pause, resume, wait_for

STALE, RENEW = 0.5, 0.05


def hold_on(path: Path) -> None:
    """Hold until killed, or until lost: then EXIT_LEASE_LOST."""

    def stop(lease: Lease) -> None:
        os._exit(EXIT_LEASE_LOST)

    with Lease.hold(path, stale_after_s=STALE, renew_s=RENEW, on_lost=stop):
        time.sleep(10 * PATIENCE_S)


def held(path: Path) -> Path | None:
    """The file of the holder, if there is one."""
    files = [file for file in path.glob("[0-9]*") if file.stat().st_size]
    return files[0] if files else None


def disguise(path: Path) -> None:
    """Let the holder be of another machine; at once, for a holder that lives looks at its file all the time."""
    file = held(path)
    assert file is not None
    aside = path.with_name("disguise")
    aside.write_text(json.dumps({**json.loads(file.read_text()), "host": "elsewhere", "machine": "other"}))
    aside.replace(file)


def test_a_free_lease_is_taken_at_once_and_freed(tmp_path: Path) -> None:
    """Again and again, and one file is all that is left."""
    path = tmp_path / "a.lease"
    for number in range(1, 4):
        with Lease.hold(path) as lease:
            assert held(path) == path / str(number)
            lease.check()
        assert held(path) is None
        assert [file.name for file in path.iterdir()] == [str(number)]


def test_it_is_freed_by_an_exception(tmp_path: Path) -> None:
    """As by the end of the block."""
    with pytest.raises(KeyError), Lease.hold(tmp_path / "a.lease"):
        raise KeyError
    with Lease.hold(tmp_path / "a.lease", wait=False):
        pass


def _count(path: Path, inside: Path, counter: Path) -> None:
    for _ in range(6):
        with Lease.hold(path):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails if another is inside
            counter.write_text(str(int(counter.read_text()) + 1))
            inside.unlink()


def test_eight_processes_never_hold_it_together(tmp_path: Path) -> None:
    """Each enters six times, alone; no increment is lost."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    with children(_count, *[(tmp_path / "a.lease", tmp_path / "inside", counter)] * 8) as processes:
        assert exit_codes(processes) == [0] * 8
    assert counter.read_text() == "48"


def _enter_and_die(path: Path, seen: Path) -> None:
    with Lease.hold(path), seen.open("a+") as file:
        file.seek(0)
        for before in file.read().split():
            assert _dead(int(before)), f"{before} was not dead"
        file.write(f"{os.getpid()}\n")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def _dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def test_eight_killed_holders_follow_one_another_at_once(tmp_path: Path) -> None:
    """Seven wait for each that dies, and one of them takes over; the default times would be two minutes each."""
    seen = tmp_path / "seen"
    with children(_enter_and_die, *[(tmp_path / "a.lease", seen)] * 8) as processes:
        assert exit_codes(processes) == [-signal.SIGKILL] * 8
    assert sorted(map(int, seen.read_text().split())) == sorted(process.pid or 0 for process in processes)


def test_nobody_is_said_to_wait_for_a_dead_process(tmp_path: Path) -> None:
    """A killed holder of this machine is followed without a word about it."""
    path, told = tmp_path / "a.lease", []
    with children(hold_on, (path,)) as (holder,):
        wait_for(lambda: held(path))
        holder.kill()
        holder.join()
        with Lease.hold(path, on_wait=told.append):
            assert told == []


def test_a_dead_holder_elsewhere_is_replaced_when_it_was_silent_for_long(tmp_path: Path) -> None:
    """Nobody can look whether its process runs: only its silence tells."""
    path = tmp_path / "a.lease"
    with children(hold_on, (path,)) as (holder,):
        wait_for(lambda: held(path))
        holder.kill()
        holder.join()
        began = time.monotonic()
        disguise(path)
        with Lease.hold(path, stale_after_s=STALE, renew_s=RENEW):
            assert STALE - 0.1 < time.monotonic() - began < PATIENCE_S  # clocks of files tick in steps


def test_a_paused_holder_loses_and_stops_when_it_wakes(tmp_path: Path) -> None:
    """Within a renewal, whatever its main thread does; and the winner does not notice."""
    path = tmp_path / "a.lease"
    with children(hold_on, (path,)) as (holder,):
        wait_for(lambda: held(path))
        pause(holder)
        with Lease.hold(path, stale_after_s=STALE, renew_s=RENEW) as lease:
            resume(holder)
            assert exit_codes([holder]) == [EXIT_LEASE_LOST]
            lease.conclude()


def test_a_holder_that_is_only_late_keeps_it(tmp_path: Path) -> None:
    """As after a sleep of the machine: the file is old, but its holder renews it under our eyes."""
    path = tmp_path / "a.lease"
    with children(hold_on, (path,)):
        wait_for(lambda: held(path))
        disguise(path)
        file = held(path)
        assert file is not None
        os.utime(file, (1, 1))
        with pytest.raises(LeaseHeld), Lease.hold(path, wait=False, stale_after_s=STALE, renew_s=PATIENCE_S):
            pass


def test_who_does_not_wait_is_told_who_holds_it(tmp_path: Path) -> None:
    """Process, machine, since when."""
    path = tmp_path / "submit.lease"
    with children(hold_on, (path,)) as (holder,):
        wait_for(lambda: held(path))
        told = rf"submit.lease is held by process {holder.pid} on .* since 2"
        with pytest.raises(LeaseHeld, match=told) as caught, Lease.hold(path, wait=False):
            pass
        assert caught.value.holder.pid == holder.pid


def test_waiting_has_an_end_and_says_for_whom_once(tmp_path: Path) -> None:
    """After the seconds that were given."""
    path, told = tmp_path / "a.lease", list[Holder]()
    with children(hold_on, (path,)) as (holder,):
        wait_for(lambda: held(path))
        began = time.monotonic()
        with pytest.raises(LeaseHeld), Lease.hold(path, timeout_s=0.3, on_wait=told.append):
            pass
        assert 0.3 <= time.monotonic() - began < PATIENCE_S
        assert [one.pid for one in told] == [holder.pid]


@pytest.mark.parametrize("how", ["taken over", "removed"])
def test_the_loser_learns_it_and_leaves_the_winner_alone(tmp_path: Path, how: str) -> None:
    """`lost` is true, `check` and `conclude` raise, and the end of the block does not free what is another's."""
    path = tmp_path / "a.lease"
    with Lease.hold(path, renew_s=RENEW) as loser:
        if how == "removed":
            shutil.rmtree(path)
        else:
            (path / "2").write_text("{}")
        wait_for(lambda: loser.lost)
        for act in (loser.check, loser.conclude):
            with pytest.raises(LeaseLost):
                act()
    assert not path.exists() or (path / "2").read_text() == "{}"


def test_conclude_does_not_wait_for_the_next_renewal(tmp_path: Path) -> None:
    """It looks itself."""
    path, calls = tmp_path / "a.lease", list[Lease]()
    with Lease.hold(path, on_lost=calls.append) as loser:
        (path / "2").write_text("{}")
        with pytest.raises(LeaseLost):
            loser.conclude()
        assert calls == [loser]


def test_a_number_of_the_past_is_never_taken(tmp_path: Path) -> None:
    """A taker that slept while others came and went finds its number free, and may not have it."""
    path = tmp_path / "a.lease"
    for _ in range(3):
        with Lease.hold(path):
            pass
    with Lease.hold(path) as winner:
        slow = Lease(path)
        assert not slow._take(2)
        assert [file.name for file in path.iterdir()] == ["4"]
        winner.conclude()


def test_a_damaged_lease_is_somebodys_until_it_is_old(tmp_path: Path) -> None:
    """It is believed for as long as any other."""
    path = tmp_path / "a.lease"
    path.mkdir()
    (path / "1").write_text('{"owner": ')
    with pytest.raises(LeaseHeld, match="an unknown process"), Lease.hold(path, wait=False):
        pass
    with Lease.hold(path, stale_after_s=STALE, renew_s=RENEW):
        assert held(path) == path / "2"


def test_a_process_id_that_was_given_again_is_not_the_holder(tmp_path: Path) -> None:
    """The start of the process tells."""
    path = tmp_path / "a.lease"
    path.mkdir()
    me = Holder.this_process()
    again = {name: getattr(me, name) for name in ("owner", "host", "machine", "pid", "job", "acquired")}
    (path / "1").write_text(json.dumps({**again, "started": me.started - 1}))
    with Lease.hold(path, wait=False):
        pass


def test_the_holder_of_a_slurm_job_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Slurm's programs name the job."""
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert "(Slurm job 77)" in str(Holder.this_process())
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    assert "(Slurm job 70_7)" in str(Holder.this_process())
