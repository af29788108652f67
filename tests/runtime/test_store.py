"""The store: attempts, publishing, damage, and two processes at once."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from compiler.errors import UserError
from runtime.store import RESULT, Store

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
    left = store.shard_directory("k", 1, 0).with_name("0.aside")
    (left / "out" / "files").mkdir(parents=True)
    (left / "out" / "files" / "torn.txt").write_text("torn")
    assert store.shard_result("k", 1, 0) is None
    finish(store, "k", 1, 0)
    artifact = store.publish("k", 1, MANIFEST)
    assert list(artifact.manifest["files"]) == ["files/a.txt"]


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
    for racer in racers:
        racer.join(60)
        assert racer.exitcode == 0
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
