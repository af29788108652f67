"""The store: attempts, publishing, damage, and two processes at once."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from contextlib import ExitStack
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

import runtime.store
from compiler.errors import UserError
from runtime.holder import Holder
from runtime.lease import LeaseLost
from runtime.store import RESULT, Store
from tests.runtime.children import FORK, PATIENCE_S, children, exit_codes, is_paused, pause, resume, wait_for

OUTPUTS = {"outputs": {"files": {}}}
MANIFEST = {"task": "t", "key": "k", "digest": "d", **OUTPUTS}


def finish(store: Store, key: str, shards: int, shard: int, text: str = "x") -> bool:
    """Run one attempt that writes one file; False if there was nothing to do."""
    with store.attempt(key, shards, shard) as directory:
        if directory is None:
            return False
        (directory / "out" / "files").mkdir(parents=True)
        (directory / "out" / "files" / "a.txt").write_text(text)
        (directory / RESULT).write_text("{}")
    return True


def test_a_published_artefact_is_found_by_key_and_by_fingerprint(tmp_path: Path) -> None:
    """attempt -> publish -> remember -> find."""
    store = Store(tmp_path)
    assert finish(store, "k", 1, 0)
    store.publish("k", 1, MANIFEST)
    store.remember("fp", "k")
    found = store.find("fp")
    assert found is not None and (found.path / "files" / "a.txt").read_text() == "x"
    assert found.manifest["files"] == {"files/a.txt": 1}
    assert not (tmp_path / "work" / "k").exists()


def test_a_finished_shard_is_not_run_again(tmp_path: Path) -> None:
    """A second attempt is told that there is nothing to do."""
    store = Store(tmp_path)
    assert finish(store, "k", 2, 0)
    assert not finish(store, "k", 2, 0)
    assert finish(store, "k", 2, 1)


def test_shards_of_an_artefact_are_named_by_number(tmp_path: Path) -> None:
    """Two shards that write the same name do not overwrite each other."""
    store = Store(tmp_path)
    for shard in range(2):
        finish(store, "k", 2, shard, f"shard {shard}")
    artifact = store.publish("k", 2, MANIFEST)
    assert [path.name for path in artifact.files("files", "*.txt")] == ["00000-a.txt", "00001-a.txt"]


def test_an_attempt_that_raises_leaves_nothing(tmp_path: Path) -> None:
    """Neither a half-written shard nor the directory aside."""
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.attempt("k", 1, 0) as directory:
        assert directory is not None
        (directory / "half").write_text("half")
        raise RuntimeError
    assert store.shard_result("k", 1, 0) is None
    assert not list((tmp_path / "work").rglob("half"))
    assert finish(store, "k", 1, 0)


def test_what_a_killed_attempt_left_aside_is_cleared(tmp_path: Path) -> None:
    """A directory aside without a result is never taken for finished."""
    store = Store(tmp_path)
    left = store.shard_directory("k", 1, 0).with_name("0.aside") / "attempt"
    (left / "out" / "files").mkdir(parents=True)
    (left / "out" / "files" / "torn.txt").write_text("torn")
    assert store.shard_result("k", 1, 0) is None
    finish(store, "k", 1, 0)
    assert not left.parent.exists()
    artifact = store.publish("k", 1, MANIFEST)
    assert list(artifact.manifest["files"]) == ["files/a.txt"]


def test_a_finished_shard_with_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    """It is moved out of the way."""
    store = Store(tmp_path)
    finish(store, "k", 1, 0, "old")
    (store.shard_directory("k", 1, 0) / RESULT).write_text("{")
    assert finish(store, "k", 1, 0, "new")
    assert (store.publish("k", 1, MANIFEST).path / "files" / "a.txt").read_text() == "new"


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest", "empty manifest"])
def test_a_damaged_artefact_is_set_aside(tmp_path: Path, damage: str) -> None:
    """It is not found, is kept for a look, and can be built again."""
    store = Store(tmp_path)
    finish(store, "k", 1, 0)
    artifact = store.publish("k", 1, MANIFEST)
    store.remember("fp", "k")
    file = artifact.path / "files" / "a.txt"
    if damage == "truncate":
        file.write_text("")
    elif damage == "remove":
        file.unlink()
    else:
        (artifact.path / "manifest.json").write_text("" if damage == "empty manifest" else "{")
    assert store.find("fp") is None
    assert (tmp_path / "damaged" / "k").exists()
    assert finish(store, "k", 1, 0)
    store.publish("k", 1, MANIFEST)
    assert store.find("fp") is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', '{"no": "key"}'])
def test_a_torn_fingerprint_file_means_not_built(tmp_path: Path, text: str) -> None:
    """Nothing raises; the task runs again."""
    store = Store(tmp_path)
    (tmp_path / "fingerprints").mkdir()
    (tmp_path / "fingerprints" / "fp.json").write_text(text)
    assert store.find("fp") is None


def _race(root: str, queue: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    store = Store(Path(root))
    ran = finish(store, "k", 1, 0)
    store.publish("k", 1, MANIFEST)
    queue.put(ran)


def test_of_two_processes_one_builds(tmp_path: Path) -> None:
    """Both end with the artefact; only one ran the shard."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    racers = [context.Process(target=_race, args=(str(tmp_path), queue)) for _ in range(3)]
    for racer in racers:
        racer.start()
    assert exit_codes(racers) == [0] * 3
    assert sorted(queue.get() for _ in racers) == [False, False, True]
    assert json.loads((tmp_path / "artifacts" / "k" / "manifest.json").read_text())["task"] == "t"


def test_an_unwritable_store_is_one_message(tmp_path: Path) -> None:
    """The store's path is a file."""
    (tmp_path / "store").write_text("a file")
    with (
        pytest.raises(UserError, match="store cannot be written"),
        Store(tmp_path / "store").attempt("k", 1, 0),
    ):
        pass


def test_publishing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A manifest that cannot be written: no artefact, nothing beside it, and the shards are still there."""
    store = Store(tmp_path)
    finish(store, "k", 1, 0)
    with pytest.raises(TypeError):
        store.publish("k", 1, {**MANIFEST, "stats": object()})
    assert list((tmp_path / "artifacts").iterdir()) == []
    store.publish("k", 1, MANIFEST)
    assert store.artifact("k") is not None


QUICK = {"stale_after_s": 0.5, "renew_s": 0.05}


def _attempt_that_stops(root: Path, ready: Path) -> None:
    """An attempt of an inline run: nobody ends its process. It waits to be paused, then goes on and writes."""
    try:
        with Store(root, **QUICK).attempt("k", 1, 0) as directory:
            assert directory is not None
            ready.touch()
            wait_for(lambda: not ready.exists())
            (directory / RESULT).write_text('{"by": "loser"}')
    except LeaseLost:
        os._exit(3)


def _by(store: Store) -> object:
    return (store.shard_result("k", 1, 0) or {}).get("by")


def test_a_paused_attempt_loses_and_keeps_nothing(tmp_path: Path) -> None:
    """Its shard is done by another meanwhile; when it wakes, it neither finishes nor harms what the other made."""
    ready = tmp_path / "ready"
    with children(_attempt_that_stops, (tmp_path, ready)) as (loser,):
        wait_for(ready.exists)
        pause(loser)
        told = list[Holder]()
        store = Store(tmp_path, **QUICK)
        with store.attempt("k", 1, 0, on_wait=told.append) as directory:
            assert directory is not None
            ready.unlink()
            resume(loser)  # wakes while the other is at work
            assert exit_codes([loser]) == [3]
            (directory / RESULT).write_text('{"by": "winner"}')
        assert [holder.pid for holder in told] == [loser.pid]
    assert _by(store) == "winner"
    assert [path.name for path in store.shard_directory("k", 1, 0).parent.iterdir()] == ["0"]


def _attempt_that_sleeps_before_its_last_act(root: Path) -> None:
    """It is paused when it has made sure of its lease and not yet renamed: the worst moment there is."""
    place = runtime.store._place

    def pausing(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        place(*arguments)  # type: ignore[arg-type]

    runtime.store._place = pausing
    try:
        with Store(root, **QUICK).attempt("k", 1, 0) as directory:
            assert directory is not None
            (directory / RESULT).write_text('{"by": "sleeper"}')
    except LeaseLost:
        os._exit(3)


@pytest.mark.parametrize(("wakes", "ends"), [("while the other works", 3), ("after the other ended", 0)])
def test_of_two_attempts_that_both_finish_one_is_kept(tmp_path: Path, wakes: str, ends: int) -> None:
    """Whichever was first, whole, and the other leaves nothing."""
    store = Store(tmp_path, **QUICK)
    with children(_attempt_that_sleeps_before_its_last_act, (tmp_path,)) as (sleeper,):
        wait_for(lambda: is_paused(sleeper))
        with store.attempt("k", 1, 0) as directory:
            assert directory is not None
            (directory / RESULT).write_text('{"by": "other"}')
            if wakes == "while the other works":
                resume(sleeper)
                assert exit_codes([sleeper]) == [ends]
        if wakes == "after the other ended":
            resume(sleeper)
        assert exit_codes([sleeper]) == [ends]
    assert _by(store) == "other"
    assert [path.name for path in store.shard_directory("k", 1, 0).parent.iterdir()] == ["0"]


def test_a_result_that_came_into_place_meanwhile_is_kept(tmp_path: Path) -> None:
    """Of two whole directories the first stays; the attempt that comes second ends as if it had been the first."""
    store = Store(tmp_path)
    with store.attempt("k", 1, 0) as directory:
        assert directory is not None
        final = store.shard_directory("k", 1, 0)
        final.mkdir()
        (final / RESULT).write_text('{"by": "first"}')
        (directory / RESULT).write_text('{"by": "second"}')
    assert _by(store) == "first"
    assert [path.name for path in final.parent.iterdir()] == ["0"]


def _publish_together(root: Path, barrier: Barrier, keys: int) -> None:
    store = Store(root)
    for number in range(keys):
        barrier.wait(PATIENCE_S)
        artifact = store.publish(f"k{number}", 3, {**MANIFEST, "by": os.getpid()})
        assert sorted(artifact.manifest["files"]) == [f"files/{shard:05d}-a.txt" for shard in range(3)]


def test_of_many_publishers_at_once_one_publishes(tmp_path: Path) -> None:
    """All end with the same whole artefact, and nothing is left beside it."""
    store, keys = Store(tmp_path), 8
    for number in range(keys):
        for shard in range(3):
            finish(store, f"k{number}", 3, shard)
    with children(_publish_together, *[(tmp_path, FORK.Barrier(4), keys)] * 4) as processes:
        assert exit_codes(processes) == [0] * 4
    assert sorted(path.name for path in (tmp_path / "artifacts").iterdir()) == [f"k{n}" for n in range(keys)]
    for left in ("work", "locks"):
        assert list((tmp_path / left).iterdir()) == []


def _finish_then_say(root: Path, waits: Path, said: Path) -> None:
    with Store(root).attempt("k", 1, 0, on_wait=lambda holder: waits.touch()) as directory:
        said.write_text("nothing to do" if directory is None else "worked")


def test_a_killed_attempt_on_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    """Two minutes of silence are for machines whose processes cannot be seen."""
    ready = tmp_path / "ready"
    with children(_attempt_that_stops, (tmp_path, ready)) as (victim,):
        wait_for(ready.exists)
        victim.kill()
        victim.join()
        began = time.monotonic()
        assert finish(Store(tmp_path), "k", 1, 0)
        assert time.monotonic() - began < PATIENCE_S


def test_who_waited_for_a_shard_finds_it_finished(tmp_path: Path) -> None:
    """It does not do it again."""
    waits, said = tmp_path / "waits", tmp_path / "said"
    with ExitStack() as stack:
        with Store(tmp_path).attempt("k", 1, 0) as directory:
            assert directory is not None
            (waiting,) = stack.enter_context(children(_finish_then_say, (tmp_path, waits, said)))
            wait_for(waits.exists)
            assert not said.exists()
            (directory / RESULT).write_text("{}")
        assert exit_codes([waiting]) == [0]
    assert said.read_text() == "nothing to do"


def test_an_artefact_that_the_file_system_hides_for_a_moment_is_left_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale handle says nothing about the artefact: a week of training is not moved away for it."""
    store = Store(tmp_path)
    assert finish(store, "k", 1, 0)
    store.publish("k", 1, MANIFEST)

    def stale(*_: object, **__: object) -> str:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", stale)
        with pytest.raises(UserError, match="Stale file handle"):
            store.artifact("k")
    assert store.artifact("k") is not None
    assert not (tmp_path / "damaged").exists()


def test_damaged_artefacts_of_one_key_are_all_kept(tmp_path: Path) -> None:
    """The second does not overwrite the first: they are kept for a look."""
    store = Store(tmp_path)
    for text in ("one", "two"):
        assert finish(store, "k", 1, 0)
        store.publish("k", 1, MANIFEST)
        (tmp_path / "artifacts" / "k" / "files" / "a.txt").write_text(text)
        assert store.artifact("k") is None
    kept = sorted((tmp_path / "damaged").glob("k*/files/a.txt"))
    assert sorted(path.read_text() for path in kept) == ["one", "two"]
